//go:build cgo

package duck_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"gatehouse/internal/event"
	"gatehouse/internal/lake"
	"gatehouse/internal/query"
	"gatehouse/internal/query/core"
)

// built writes n events as a lake does.
func built(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	b := lake.NewBuilder(lake.BuilderOptions{Dir: dir})
	defer b.Close()
	for i := range n {
		e := &event.Event{Time: time.UnixMilli(int64(i)), Strand: event.Management, Raw: []byte(fmt.Sprintf(`{"i":%d,"text":"é \u0000 '\""}`, i))}
		e.ID[0], e.ID[1] = byte(i), byte(i>>8)
		e.SetInt(event.MessageTime, int64(i))
		e.SetText(event.EventName, fmt.Sprintf("Get%d", i%7))
		e.SetBool(event.Success, i%2 == 0)
		if i%10 == 0 {
			e.SetFloat(event.MetricValue, float64(i)/4)
		}
		if err := b.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	files, _, err := b.Flush()
	if err != nil || len(files) != 1 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	return filepath.Join(dir, filepath.Base(files[0].Path))
}

// older is a row of a file from another release: columns are missing, of
// another type, or unknown.
type older struct {
	EventName *string `parquet:"eventName,optional"`
	PID       *string `parquet:"pid,optional"`
	Success   int64   `parquet:"success"`
	Unknown   int64   `parquet:"of_the_future"`
}

func olderFile(t *testing.T) string {
	t.Helper()
	name, pid, not := "Old", "42", "x"
	file := filepath.Join(t.TempDir(), "it's older.parquet")
	if err := parquet.WriteFile(file, []older{{&name, &pid, 1, 9}, {nil, &not, 0, 9}}); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestFiles(t *testing.T) {
	now, old := built(t, 5000), olderFile(t)
	for _, c := range []struct {
		files []string
		sql   string
		want  string
	}{
		{[]string{now}, `SELECT count(*), count("metric_value"), max("metric_value"), sum("_messagetime"), count(*) FILTER (WHERE "success") FROM events`, "5000 500 1247.5f 12497500 2500"},
		{[]string{now}, `SELECT "_messagetime", "eventName", "success", "metric_value", "pid" FROM events ORDER BY "_messagetime" DESC LIMIT 2`, `4999 "Get1" false null null|4998 "Get0" true null null`},
		{[]string{now}, `SELECT json_extract_string("_raw", '$.i'), length(json_extract_string("_raw", '$.text')) FROM events WHERE "_messagetime" = 17`, `"17" 6`},
		{[]string{old}, `SELECT "eventName", "pid", "success", "_raw", "metric_value" FROM events ORDER BY "pid"`, `"Old" 42 true null null|null null false null null`},
		{[]string{now, old}, `SELECT count(*), count("eventName"), sum("pid"), count(*) FILTER (WHERE "success") FROM events`, "5002 5001 42 2501"},
		{[]string{now, now}, `SELECT count(*) FROM events`, "10000"},
	} {
		engines(t, func(t *testing.T, e lake.Engine) {
			got, err := ask(t.Context(), e, lake.Request{SQL: c.sql, Files: c.files})
			if err != nil || strings.Join(got, "|") != c.want {
				t.Errorf("%s: got %q, %v; want %q", c.sql, strings.Join(got, "|"), err, c.want)
			}
		})
	}
}

// TestNoOtherFile holds that a request's own files are all that it may read,
// whatever lies beside them.
func TestNoOtherFile(t *testing.T) {
	mine, other := built(t, 3), olderFile(t)
	e := open(t)
	if got, err := ask(t.Context(), e, lake.Request{SQL: "SELECT count(*) FROM read_parquet('" + mine + "')", Files: []string{mine}}); err != nil || got[0] != "3" {
		t.Errorf("a named file: %v, %v", got, err)
	}
	for _, path := range []string{strings.ReplaceAll(other, "'", "''"), filepath.Dir(mine) + "/*.parquet", mine + "/../../x", "/proc/self/environ"} {
		if got, err := ask(t.Context(), e, lake.Request{SQL: "SELECT * FROM read_text('" + path + "')", Files: []string{mine}}); err == nil {
			t.Errorf("%s: read %v", path, got)
		}
	}
}

func TestBrokenFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "broken.parquet")
	whole, err := os.ReadFile(built(t, 100))
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]byte{nil, []byte("PAR1"), whole[:len(whole)/2], append(append([]byte{}, whole[:len(whole)-40]...), whole[len(whole)-20:]...)} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		engines(t, func(t *testing.T, e lake.Engine) {
			if got, err := ask(t.Context(), e, lake.Request{SQL: `SELECT count("_raw") FROM events`, Files: []string{file}}); err == nil {
				t.Errorf("%d bytes: got %v", len(data), got)
			}
		})
	}
}

// TestNewest holds that many of the newest rows are found by their times first,
// and are the same rows.
func TestNewest(t *testing.T) {
	const most = 6000 // DuckDB itself picks the first 5000 with less
	name, at := core.C("eventName", core.Text), core.C("_messagetime", core.Int)
	scan := &core.Scan{Columns: []core.Col{{Name: "_messagetime", Type: core.Int}, {Name: "_raw", Type: core.Text}}, Filter: core.Do(core.Not, core.Do(core.EqText, name, core.Str("Get1"))), From: 100}
	e := open(t)
	file := built(t, 20000)
	for _, desc := range []bool{true, false} {
		plan := &core.Limit{N: most, In: &core.Sort{In: scan, Keys: []core.Key{{Expr: at, Desc: desc}}}}
		rows, err := query.Run(t.Context(), e, query.Job{Plan: plan, Files: []string{file}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := rows.All()
		if err != nil || len(got) != most {
			t.Fatalf("%d rows, %v", len(got), err)
		}
		want, step := int64(100), int64(1)
		if desc {
			want, step = 19999, -1
		}
		for i, row := range got {
			if want%7 == 1 {
				want += step
			}
			if row[0] != want || !strings.Contains(row[1].(string), fmt.Sprintf(`"i":%d,`, want)) {
				t.Fatalf("descending %v: row %d is %v, want %d", desc, i, row, want)
			}
			want += step
		}
	}
}
