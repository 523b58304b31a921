package parse

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fastjson"

	"gatehouse/internal/event"
)

// scanText scans a text, and returns its records as JSON behind their format, and its
// problems as their code.
func scanText(t *testing.T, s string, o Options) (records, problems []string) {
	t.Helper()
	_, err := Scan(strings.NewReader(s), o, func(r *event.Raw) error {
		if r.Strand != event.Endpoint {
			t.Errorf("strand %s of %s", r.Strand, r.JSON)
		}
		if err := fastjson.ValidateBytes(r.JSON); err != nil {
			t.Errorf("%v: %s", err, r.JSON)
		}
		records = append(records, r.Format+" "+string(r.JSON))
		return nil
	}, func(p event.Problem) { problems = append(problems, p.Code) })
	if err != nil {
		t.Fatal(err)
	}
	return records, problems
}

// TestEndpointFormats: each record of the samples that normalise reads is
// recognised as what its file is named for.
func TestEndpointFormats(t *testing.T) {
	files, _ := filepath.Glob("../normalise/testdata/endpoint/*.*")
	seen := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		if filepath.Ext(file) == ".golden" {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		records, problems := scanText(t, string(b), Options{})
		if len(records) == 0 || len(problems) > 0 {
			t.Errorf("%s: %d records, problems %v", name, len(records), problems)
		}
		for _, r := range records {
			format, _, _ := strings.Cut(r, " ")
			if seen++; !strings.HasPrefix(name, format) && !strings.HasPrefix(r, formatOf[name]) {
				t.Errorf("%s: recognised as %s", name, r)
			}
		}
	}
	if seen < 40 {
		t.Errorf("%d samples", seen)
	}
}

// formatOf are the files that are not named for their format.
var formatOf = map[string]string{"generic": "endpoint ", "windows": "sysmon "}

// TestAudit: lines of an event are joined, whatever stands between them.
func TestAudit(t *testing.T) {
	const head = `type=SYSCALL msg=audit(1772366400.001:7): pid=2 exe="/usr/bin/aws"` + "\n"
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"joined, in hex and in pieces", head +
			`type=EXECVE msg=audit(1772366400.001:7): argc=4 a0="aws" a1=6120226222 a2_len=4 a2[0]=6364` + "\n" +
			`type=SYSCALL msg=audit(1772366400.001:8): pid=3 exe=2F612062` + "\n" +
			`type=EXECVE msg=audit(1772366400.001:7): a2[1]=6566 a3="x"` + "\n",
			[]string{
				`auditd {"record":"auditd","time":"2026-03-01T12:00:00.001Z","serial":"7","argv":["aws","a \"b\"","cdef","x"],"command_line":"aws a \"b\" cdef x","syscall":{"pid":"2","exe":"/usr/bin/aws"},"execve":[{"argc":"4"},{}]}`,
				`auditd {"record":"auditd","time":"2026-03-01T12:00:00.001Z","serial":"8","syscall":{"pid":"3","exe":"/a b"}}`,
			}},
		{"a title, when there are no arguments", `type=PROCTITLE msg=audit(1772366400.001:7): proctitle=61777300626564726F636B`,
			[]string{`auditd {"record":"auditd","time":"2026-03-01T12:00:00.001Z","serial":"7","argv":["aws","bedrock"],"command_line":"aws bedrock","proctitle":{"proctitle":"aws\u0000bedrock"}}`}},
		{"decoded by ausearch", `type=PROCTITLE msg=audit(2026-03-01 12:00:00.001:7) : proctitle=/usr/bin/aws bedrock list-agents` + "\n" +
			`type=EXECVE msg=audit(03/01/2026 12:00:00.001:8) : argc=2 a0=aws a1=ab` + "\n",
			[]string{
				`auditd {"record":"auditd","time":"2026-03-01T12:00:00.001Z","serial":"7","command_line":"/usr/bin/aws bedrock list-agents","proctitle":{"proctitle":"/usr/bin/aws bedrock list-agents"}}`,
				`auditd {"record":"auditd","time":"2026-03-01T12:00:00.001Z","serial":"8","argv":["aws","ab"],"command_line":"aws ab","execve":{"argc":"2"}}`,
			}},
		{"through syslog and the kernel", "Mar  1 12:00:00 web-1 kernel: [1.2] audit: type=1309 audit(1772366400.001:7): argc=1 a0=\"ls\"\n" +
			"<13>1 2026-03-01T12:00:00Z web-2 audispd 1 - - type=CWD msg=audit(1772366400.001:7): cwd=\"/\"\n",
			[]string{
				`auditd {"record":"auditd","time":"2026-03-01T12:00:00.001Z","serial":"7","node":"web-1","argv":["ls"],"command_line":"ls","execve":{"argc":"1"}}`,
				`auditd {"record":"auditd","time":"2026-03-01T12:00:00.001Z","serial":"7","node":"web-2","cwd":{"cwd":"/"}}`,
			}},
		{"ended by its EOE line", head + "type=EOE msg=audit(1772366400.001:7): \n" + head,
			[]string{
				`auditd {"record":"auditd","time":"2026-03-01T12:00:00.001Z","serial":"7","syscall":{"pid":"2","exe":"/usr/bin/aws"}}`,
				`auditd {"record":"auditd","time":"2026-03-01T12:00:00.001Z","serial":"7","syscall":{"pid":"2","exe":"/usr/bin/aws"}}`,
			}},
		{"two hosts, one of them an hour ahead", "node=a type=SYSCALL msg=audit(1772366400.001:7): pid=1\n" +
			"node=b type=SYSCALL msg=audit(1772370000.001:9): pid=2\n" +
			"node=a type=CWD msg=audit(1772366400.001:7): cwd=\"/\"\n" +
			"node=b type=CWD msg=audit(1772370000.001:9): cwd=\"/\"\n",
			[]string{
				`auditd {"record":"auditd","time":"2026-03-01T12:00:00.001Z","serial":"7","node":"a","syscall":{"pid":"1"},"cwd":{"cwd":"/"}}`,
				`auditd {"record":"auditd","time":"2026-03-01T13:00:00.001Z","serial":"9","node":"b","syscall":{"pid":"2"},"cwd":{"cwd":"/"}}`,
			}},
		{"ended by time", head + "type=CWD msg=audit(1772366402.001:8): cwd=\"/\"\n" + head,
			[]string{
				`auditd {"record":"auditd","time":"2026-03-01T12:00:00.001Z","serial":"7","syscall":{"pid":"2","exe":"/usr/bin/aws"}}`,
				`auditd {"record":"auditd","time":"2026-03-01T12:00:02.001Z","serial":"8","cwd":{"cwd":"/"}}`,
				`auditd {"record":"auditd","time":"2026-03-01T12:00:00.001Z","serial":"7","syscall":{"pid":"2","exe":"/usr/bin/aws"}}`,
			}},
	} {
		got, problems := scanText(t, tt.in, Options{})
		if !slices.Equal(got, tt.want) || len(problems) > 0 {
			t.Errorf("%s: %v\n got %s\nwant %s", tt.name, problems, strings.Join(got, "\n     "), strings.Join(tt.want, "\n     "))
		}
	}
}

// TestAuditBounds: what never ends is given up in time, and nothing is lost.
func TestAuditBounds(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "type=CWD msg=audit(1772366400.001:%d): cwd=\"/\"\n", i)
	}
	for range 1000 {
		fmt.Fprintf(&b, "type=PATH msg=audit(1772366400.001:2000): name=\"%s\"\n", strings.Repeat("x", 100))
	}
	b.WriteString("type=EXECVE msg=audit(1772366400.001:2001): a0=\"ls\" a99999999=\"x\" a-1=\"x\" a1[99999999]=\"x\"\n")
	records, problems := scanText(t, b.String(), Options{MaxRecord: 64 << 10})
	if len(records) != 1002 || len(problems) > 0 {
		t.Errorf("%d records, problems %v", len(records), problems)
	}
	if !slices.ContainsFunc(records, func(r string) bool { return strings.Contains(r, `"truncated":true`) }) {
		t.Error("the long event does not say that it was cut")
	}
}

// TestAuditInEnvelopes: a log service keeps each line apart.
func TestAuditInEnvelopes(t *testing.T) {
	in := `{"logEvents":[{"id":"1","timestamp":1,"message":"type=SYSCALL msg=audit(1772366400.001:7): pid=2"},` +
		`{"id":"2","timestamp":1,"message":"type=EXECVE msg=audit(1772366400.001:7): argc=1 a0=\"ls\""},` +
		`{"_raw":"<Event>\n<System><Channel>C</Channel></System>\n</Event>"},` +
		`{"id":"3","timestamp":1,"message":"type=CWD msg=audit(1772366409.001:8): cwd=\"/\""}]}`
	want := []string{
		`windows {"Event":{"System":{"Channel":"C"}}}`,
		`auditd {"record":"auditd","time":"2026-03-01T12:00:00.001Z","serial":"7","argv":["ls"],"command_line":"ls","syscall":{"pid":"2"},"execve":{"argc":"1"}}`,
		`auditd {"record":"auditd","time":"2026-03-01T12:00:09.001Z","serial":"8","cwd":{"cwd":"/"}}`,
	}
	if got, problems := scanText(t, in, Options{}); !slices.Equal(got, want) || len(problems) > 0 {
		t.Errorf("%v\n got %s", problems, strings.Join(got, "\n     "))
	}
}

// TestEndpointPlaces: a record begins where its first line does.
func TestEndpointPlaces(t *testing.T) {
	in := "Mar  1 12:00:00 h x: nothing\n" +
		"type=CWD msg=audit(1772366400.001:7): cwd=\"/\"\n" +
		"Mar  1 12:00:00 h sysmon: <Event><System><Channel>C</Channel></System></Event>\n" +
		"type=CWD msg=audit(1772366400.001:8): cwd=\"/\"\n" +
		"type=PATH msg=audit(1772366400.001:7): item=0\n"
	var got []string
	Scan(strings.NewReader(in), Options{}, func(r *event.Raw) error {
		got = append(got, fmt.Sprint(r.Format, " ", r.Origin.Line))
		return nil
	}, func(p event.Problem) { t.Error(p) })
	if want := []string{"windows 3", "auditd 2", "auditd 4"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestXML: events are found whatever surrounds them, and read whatever is in
// them.
func TestXML(t *testing.T) {
	const system = `<System><Provider Name="P"/><EventID Qualifiers="">4688</EventID></System>`
	const start = `windows {"Event":{"System":{"Provider":{"#attributes":{"Name":"P"}},"EventID":{"#attributes":{"Qualifiers":""},"#text":"4688"}}`
	for _, tt := range []struct {
		name, in       string
		want, problems []string
	}{
		{"named data, entities, CDATA", `<Event>` + system + `<EventData><Data Name="A">x &lt;&amp;&#65;</Data><Data Name='B'><![CDATA[<b>]]></Data></EventData></Event>`,
			[]string{start + `,"EventData":{"A":"x <&A","B":"<b>"}}}`}, nil},
		{"data without names, or with one twice", `<Event>` + system + `<EventData><Data>1</Data><Data>2</Data><Data Name="A">3</Data><Data Name="A"/></EventData></Event>`,
			[]string{start + `,"EventData":{"Data":["1","2"],"A":["3",""]}}}`}, nil},
		{"as evtx_dump prints it", "Record 1\n<?xml version=\"1.0\"?>\n<Event>" + system + "</Event>\nRecord 2\n<?xml version=\"1.0\"?>\n<Event>" + system + "</Event>\n",
			[]string{start + "}}", start + "}}"}, nil},
		{"as evtx_dump prints JSON", "Record 1\n{\n  \"Event\": {\"System\": {}}\n}\nRecord 2\n{\n  \"Event\": {\"System\": {}}\n}\n",
			[]string{"windows {\n  \"Event\": {\"System\": {}}\n}", "windows {\n  \"Event\": {\"System\": {}}\n}"}, nil},
		{"no line breaks, no root", strings.Repeat(`<Event>`+system+`</Event>`, 2),
			[]string{start + "}}", start + "}}"}, nil},
		{"characters that XML forbids", "<Event>" + system + "<EventData><Data Name='A'>\x01&#x1B;\xff</Data></EventData></Event>",
			[]string{start + `,"EventData":{"A":"` + "\ufffd\ufffd\ufffd" + `"}}}`}, nil},
		{"a broken one between good ones", `<Events><Event>` + system + `</Event><Event><System></Event><Event><a<b></Event><Event>` + system + `</Event></Events>`,
			[]string{start + "}}", start + "}}"}, []string{UnknownFormat, BadXML}},
		{"cut off by the next", `<Event><System><Event>` + system + `</Event>`,
			[]string{start + "}}"}, []string{Truncated}},
		{"cut off by the end", `<Event>` + system + `</Event><Event><System>`,
			[]string{start + "}}"}, []string{Truncated}},
		{"other XML", `<?xml version="1.0"?><plist><EventData/></plist>`, nil, []string{UnknownFormat}},
		{"too deep", `<Event>` + strings.Repeat("<a>", 100) + `</Event>`, nil, []string{BadXML}},
		{"too long, then one more", `<Event>` + strings.Repeat("<a>", 200_000) + `</Event><Event>` + system + `</Event>`,
			[]string{start + "}}"}, []string{TooLong}},
	} {
		got, problems := scanText(t, tt.in, Options{MaxRecord: 2000})
		if !slices.Equal(got, tt.want) || !slices.Equal(problems, tt.problems) {
			t.Errorf("%s:\n got %s %v\nwant %s %v", tt.name, strings.Join(got, "\n     "), problems, strings.Join(tt.want, "\n     "), tt.problems)
		}
	}
}

// TestLines: of a system's log the lines of interest are read, the rest is
// counted.
func TestLines(t *testing.T) {
	in := "Mar  1 12:00:00 web-1 cron[1]: (root) CMD (true)\n" +
		"Mar  1 12:00:00 web-1 sysmon: <Event><System><Channel>Linux-Sysmon/Operational</Channel></System></Event>\n" +
		"Mar  1 12:00:00 web-1 audispd: type=CWD msg=audit(1772366400.001:7): cwd=\"/\"\n" +
		"Mar  1 12:00:00 web-1 edr[9]: {\"cmdline\":\"ls\"}\n"
	var formats []string
	stats, err := Scan(strings.NewReader(in), Options{}, func(r *event.Raw) error {
		formats = append(formats, r.Format)
		return nil
	}, func(p event.Problem) { t.Error(p) })
	if err != nil || stats.Skipped != 1 || !slices.Equal(formats, []string{"sysmon", "endpoint", "auditd"}) {
		t.Errorf("%v, %d skipped, %v", formats, stats.Skipped, err)
	}
}

// FuzzEndpoint: no bytes of XML or lines break a scan, and every record is
// JSON.
func FuzzEndpoint(f *testing.F) {
	files, _ := filepath.Glob("../normalise/testdata/endpoint/*.*")
	for _, file := range files {
		if b, err := os.ReadFile(file); err == nil && filepath.Ext(file) != ".golden" {
			f.Add(b)
		}
	}
	f.Add([]byte("type=EXECVE msg=audit(1.001:1): a0[0]=6 a0=\"x msg='a=\x1dUID="))
	f.Add([]byte("<Event><Data Name=\"\"/><Data xmlns:x='y' x:Name='a'></Event>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := Scan(strings.NewReader(string(b)), Options{MaxRecord: 64 << 10}, func(r *event.Raw) error {
			if err := fastjson.ValidateBytes(r.JSON); err != nil {
				t.Errorf("%v: %q", err, r.JSON)
			}
			return nil
		}, func(event.Problem) {})
		if err != nil {
			t.Error(err)
		}
	})
}
