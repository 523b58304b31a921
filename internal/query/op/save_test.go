package op

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/query/syntax"
)

// TestSave runs saves one behind the other over the records of the tests, and
// reads the directory after each.
func TestSave(t *testing.T) {
	list := records(t, "testdata/rows/records.jsonl")
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "outside.csv")
	for name, content := range map[string]string{filepath.Join(dir, "cut.csv"): "a,b\n1,2", filepath.Join(dir, ".busy.csv.part"): "", outside: "kept\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link.csv")); err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		query string
		file  string
		want  string // of the file; an error starts with !
	}{
		{`_index=sec_record_endpoint | count by device_hostname | sort device_hostname asc | save "a/hosts.csv"`, "a/hosts.csv", "device_hostname,_count\nh1,2\nh2,2\nh3,1\n"},
		{`_index=sec_record_endpoint | count by device_hostname | limit 1 | save append "a/hosts.csv"`, "a/hosts.csv", "device_hostname,_count\nh1,2\nh2,2\nh3,1\nh1,2\n"},
		{`_index=sec_record_endpoint | avg(pid) as DEVICE_hostname, values(user_username) as _count | save a/hosts`, "a/hosts.csv", "DEVICE_hostname,_count\n30.5,\"ann\nben\"\n"},
		{`* | count | save append "a/hosts.csv"`, "a/hosts.csv", "!table a/hosts.csv: its columns are DEVICE_hostname, _count, not _count"},
		{`* | where pid = 9 | fields pid, commandLine, note | save append "new.csv"`, "new.csv", "pid,commandLine,note\n9,\"/usr/local/bin/aws,bedrock,delete-guardrail,--id,1\",\n"},
		{`* | 1 as a | 2 as b | count by a, b | fields a, b | save append "cut.csv"`, "cut.csv", "a,b\n1,2\n1,2\n"},
		{`* | count | save "busy.csv"`, "busy.csv", "!.busy.csv.part is in the way"},
		{`* | count | save append "link.csv"`, "link.csv", "!path escapes from parent"},
		{`* | count by _index | transpose row _index column _count | save "wide.csv"`, "wide.csv", "!transpose needs one field"},
		{`* | count by _index, errorCode | transpose row _index column errorCode | save "wide.csv"`, "wide.csv", "_index,(none),AccessDenied\ngateway_calls,3,\nsec_record_audit,4,1\nsec_record_endpoint,5,\n"},
	}
	for _, s := range steps {
		e := envOf(t, list)
		e.SaveDir = dir
		res := runWith(t, s.query, e, list)
		if want, fails := strings.CutPrefix(s.want, "!"); fails {
			if !strings.Contains(res, want) {
				t.Errorf("%s:\n got %s\nwant %s", s.query, res, want)
			}
			continue
		}
		got, err := os.ReadFile(filepath.Join(dir, s.file))
		if err != nil || string(got) != s.want {
			t.Errorf("%s:\n got %q, %v, %s\nwant %q", s.query, got, err, res, s.want)
		}
	}
	if kept, err := os.ReadFile(outside); err != nil || string(kept) != "kept\n" {
		t.Errorf("the file outside is %q, %v", kept, err)
	}
}

// TestSaveRefused: without a directory nothing is saved, and the reason is said.
func TestSaveRefused(t *testing.T) {
	q, err := syntax.Parse(`* | count | save "a.csv"`)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Compile(q, &Env{})
	var es syntax.Errors
	if !errors.As(err, &es) || es[0].Code != CodeUnsupported || !strings.Contains(es[0].Message, "no directory of tables is set") {
		t.Errorf("got %v", err)
	}
}
