package lake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/testkit/disk"
)

var ctx = context.Background()

// open opens a lake on a disk of its own, with a clock that stands still.
func open(t *testing.T, d *disk.Disk, now *time.Time) *Lake {
	t.Helper()
	l, err := Open(ctx, Options{Dir: "/lake", FS: forgetful{d}, Now: func() time.Time { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func put(t *testing.T, l *Lake, events ...*event.Event) (added, dup int) {
	t.Helper()
	added, dup, err := l.Append(events, nil)
	if err != nil {
		t.Fatal(err)
	}
	return added, dup
}

func do(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func merge(t *testing.T, l *Lake) Merged {
	t.Helper()
	m, err := l.Merge(ctx, 0)
	do(t, err)
	return m
}

func TestDuplicatesAreDropped(t *testing.T) {
	first := happening(event.Management, "a", day)
	for _, c := range []struct {
		name  string
		again *event.Event
		then  func(d *disk.Disk, l *Lake, now *time.Time) *Lake
	}{
		{"in the buffer", happening(event.Management, "a", day), nil},
		{"sealed", happening(event.Management, "a", day), func(_ *disk.Disk, l *Lake, _ *time.Time) *Lake { l.Seal(ctx); return l }},
		{"another day", happening(event.Management, "a", day.AddDate(0, 0, 9)), func(_ *disk.Disk, l *Lake, _ *time.Time) *Lake { l.Seal(ctx); return l }},
		{"another strand", happening(event.Data, "a", day), func(_ *disk.Disk, l *Lake, _ *time.Time) *Lake { l.Seal(ctx); return l }},
		{"after a restart", happening(event.Data, "a", day), func(d *disk.Disk, l *Lake, now *time.Time) *Lake { l.Close(); return open(t, d, now) }},
		{"after a merge", happening(event.Data, "a", day), func(d *disk.Disk, l *Lake, now *time.Time) *Lake {
			for i := range 9 {
				put(t, l, happening(event.Management, fmt.Sprint(i), day))
				do(t, l.Seal(ctx))
			}
			if merge(t, l).From == 0 || l.Stats().Runs > 2 {
				t.Error("nothing was merged")
			}
			return l
		}},
		{"with its ids lost", happening(event.Data, "a", day), func(d *disk.Disk, l *Lake, now *time.Time) *Lake {
			l.Close()
			d.Put("/lake/"+l.m.Runs[0].Name, []byte("nonsense"))
			return open(t, d, now)
		}},
	} {
		d, now := disk.New(0), day
		l := open(t, d, &now)
		put(t, l, first)
		if c.then != nil {
			l = c.then(d, l, &now)
		}
		if added, dup := put(t, l, c.again, happening(event.Data, "new", day)); added != 1 || dup != 1 {
			t.Errorf("%s: %d added, %d duplicate, want 1 and 1", c.name, added, dup)
		}
		if got := l.Stats().Duplicates[[2]event.Strand{event.Management, c.again.Strand}]; got != 1 {
			t.Errorf("%s: %d counted for the pair of strands, want 1", c.name, got)
		}
	}
}

func TestSealsWhenDue(t *testing.T) {
	d, now := disk.New(0), day
	l := open(t, d, &now)
	put(t, l, happening(event.Data, "a", day))
	now = now.Add(9 * time.Second)
	do(t, l.Tick(ctx))
	if s := l.Stats(); s.Rows != 0 || s.Buffered != 1 {
		t.Errorf("after 9 s: got %+v, want it buffered", s)
	}
	now = now.Add(time.Second)
	do(t, l.Tick(ctx))
	if s := l.Stats(); s.Rows != 1 || s.Buffered != 0 {
		t.Errorf("after 10 s: got %+v, want it sealed", s)
	}
	l.o.SealRows = 3
	put(t, l, happening(event.Data, "b", day), happening(event.Data, "c", day))
	if s := l.Stats(); s.Buffered != 2 {
		t.Errorf("two of three: got %+v, want them buffered", s)
	}
	put(t, l, happening(event.Data, "d", day))
	if s := l.Stats(); s.Rows != 4 {
		t.Errorf("the third: got %+v, want them sealed", s)
	}
}

func TestOneWriter(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(ctx, Options{Dir: dir})
	do(t, err)
	if _, err := Open(ctx, Options{Dir: dir}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second writer: got %v, want ErrInUse", err)
	}
	put(t, l, happening(event.Data, "a", day))
	do(t, l.Close())
	if _, _, err := l.Append(nil, nil); err == nil {
		t.Error("a closed lake takes events")
	}
	s, err := Load(dir)
	do(t, err)
	if f := s.Files(nil, time.Time{}, time.Time{}); len(f) != 1 || len(columns(t, f[0].Path)) != 1 {
		t.Errorf("close seals: got %v", f)
	}
}

func TestReadersBesideTheWriter(t *testing.T) {
	d, now := disk.New(0), day
	l := open(t, d, &now)
	for i := range 8 {
		put(t, l, happening(event.Data, fmt.Sprint(i), day))
		do(t, l.Seal(ctx))
	}
	s, err := load(forgetful{d}, "/lake")
	do(t, err)
	merge(t, l)
	for _, minutes := range []int{0, 14, 15} {
		now = day.Add(time.Duration(minutes) * time.Minute)
		do(t, l.Tick(ctx))
		rows := 0
		for _, f := range s.Files(nil, time.Time{}, time.Time{}) {
			if b := d.Bytes(f.Path); b != nil {
				rows += len(readRows(t, b))
			}
		}
		if want := map[bool]int{true: 8}[minutes < 15]; rows != want {
			t.Errorf("%d minutes after the merge an earlier reader finds %d rows, want %d", minutes, rows, want)
		}
	}
	s, err = load(forgetful{d}, "/lake")
	do(t, err)
	if f := s.Files(nil, time.Time{}, time.Time{}); len(f) != 1 || f[0].Rows != 8 {
		t.Errorf("a later reader: got %+v, want one file of 8 rows", f)
	}
}

func TestFilesByStrandAndTime(t *testing.T) {
	d, now := disk.New(0), day
	l := open(t, d, &now)
	put(t, l, happening(event.Data, "a", day), happening(event.Data, "b", day.Add(time.Hour)),
		happening(event.Invocation, "c", day.Add(30*time.Hour)))
	do(t, l.Seal(ctx))
	s, err := load(forgetful{d}, "/lake")
	do(t, err)
	hour := func(h float64) time.Time { return day.Add(time.Duration(h * float64(time.Hour))) }
	for _, c := range []struct {
		strands  []event.Strand
		from, to time.Time
		want     string
	}{
		{nil, time.Time{}, time.Time{}, "data invocation"},
		{[]event.Strand{event.Invocation}, time.Time{}, time.Time{}, "invocation"},
		{[]event.Strand{event.Metrics}, time.Time{}, time.Time{}, ""},
		{nil, hour(1), hour(30), "data"},
		{nil, hour(1.1), hour(30.1), "invocation"},
		{nil, hour(-1), hour(0), ""},
		{nil, hour(-1), hour(0.1), "data"},
	} {
		var got []string
		for _, f := range s.Files(c.strands, c.from, c.to) {
			got = append(got, string(f.Strand))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v %v %v: got %q, want %q", c.strands, c.from, c.to, got, c.want)
		}
	}
}

func TestMergeKeepsFilesFew(t *testing.T) {
	d, now := disk.New(0), day.Add(time.Hour)
	l := open(t, d, &now)
	for i := range 200 {
		put(t, l, happening(event.Data, fmt.Sprint(i), day.Add(time.Duration(199-i)*time.Second)))
		do(t, l.Seal(ctx))
		merge(t, l)
	}
	if s := l.Stats(); s.Segments > 24 || s.Runs > 24 || s.Rows != 200 || s.IDs != 200 {
		t.Errorf("got %+v, want few segments", s)
	}
	now = day.AddDate(0, 0, 2)
	merge(t, l)
	if s := l.Stats(); s.Segments > 4 || s.Rows != 200 {
		t.Errorf("the day after: got %+v, want fewer", s)
	}
	last := int64(0)
	for _, s := range l.m.Segments {
		last = 0
		for _, v := range readColumns(t, d.Bytes("/lake/"+s.Name), event.MessageTime)[0] {
			if v.Int64() < last {
				t.Fatalf("%s is not in order", s.Name)
			}
			last = v.Int64()
		}
	}
}

func TestMergeKeepsRowsWhole(t *testing.T) {
	d, now := disk.New(0), day
	l := open(t, d, &now)
	want := map[string]string{}
	for i := range 8 {
		e := happening(event.Metrics, fmt.Sprint(i), day)
		e.SetFloat(event.MetricValue, float64(i)/2)
		e.SetBool(event.BearerToken, i%2 == 0)
		e.SetText(event.UserRole, "")
		put(t, l, e)
		do(t, l.Seal(ctx))
		s := l.m.Segments[len(l.m.Segments)-1]
		want[fmt.Sprint(readRows(t, d.Bytes("/lake/"+s.Name))[0])] = s.Name
	}
	merge(t, l)
	for _, row := range readRows(t, d.Bytes("/lake/"+l.m.Segments[0].Name)) {
		if want[fmt.Sprint(row)] == "" {
			t.Errorf("a row changed: %v", row)
		}
		delete(want, fmt.Sprint(row))
	}
	if len(want) > 0 {
		t.Errorf("rows are missing: %v", want)
	}
}

func TestRetain(t *testing.T) {
	for _, c := range []struct {
		name string
		keep func(segments []segment) Retention
		want string // days left
		gap  string
	}{
		{"nothing", func([]segment) Retention { return Retention{} }, "01 02 03", ""},
		{"age", func([]segment) Retention { return Retention{Age: 47 * time.Hour} }, "02 03", "age 1 row 01"},
		{"bytes", func(s []segment) Retention { return Retention{Bytes: s[2].Bytes + 1} }, "03", "bytes 2 row 01"},
		{"both", func(s []segment) Retention { return Retention{Age: 47 * time.Hour, Bytes: 1} }, "", "age 1 row 01, bytes 2 row 02"},
	} {
		d, now := disk.New(0), day.AddDate(0, 0, 2)
		l := open(t, d, &now)
		for i := range 3 {
			put(t, l, happening(event.Data, fmt.Sprint(i), day.AddDate(0, 0, i)))
			do(t, l.Seal(ctx))
		}
		_, err := l.Retain(ctx, c.keep(l.m.Segments))
		do(t, err)
		s, err := load(forgetful{d}, "/lake")
		do(t, err)
		var days, gaps []string
		for _, f := range s.Files(nil, time.Time{}, time.Time{}) {
			days = append(days, f.Day[8:])
		}
		for _, g := range s.Gaps {
			gaps = append(gaps, fmt.Sprintf("%s %d row %02d", g.Reason, g.Rows, g.From.Day()))
		}
		if got := strings.Join(days, " "); got != c.want {
			t.Errorf("%s: days left: got %q, want %q", c.name, got, c.want)
		}
		if got := strings.Join(gaps, ", "); got != c.gap {
			t.Errorf("%s: gaps: got %q, want %q", c.name, got, c.gap)
		}
		if got := catalogued(s); got != int64(len(days)) {
			t.Errorf("%s: the catalogue counts %d, want %d", c.name, got, len(days))
		}
		if got := l.Stats().IDs; got != int64(len(days)) {
			t.Errorf("%s: %d ids, want %d", c.name, got, len(days))
		}
	}
}

// TestCrashWhileRetaining: a day is there or in the gap, whatever the moment.
func TestCrashWhileRetaining(t *testing.T) {
	for cut, more := 0, true; more; cut++ {
		w := newWorld(t, uint64(cut%3))
		do(t, w.open())
		put(t, w.l, happening(event.Data, "old", day), happening(event.Data, "new", w.now))
		do(t, w.l.Seal(ctx))
		more = w.interrupted(cut, func(w *world) error {
			_, err := w.l.Retain(ctx, Retention{Age: 24 * time.Hour})
			return err
		}, func(disk.Op) error { return errPower })
		w.d.Crash()
		do(t, w.open())
		s, err := load(forgetful{w.d}, "/lake")
		do(t, err)
		if files := s.Files(nil, time.Time{}, time.Time{}); len(files)+len(s.Gaps) != 2 || len(s.Damaged) > 0 {
			t.Errorf("cut at %d: files %v, gaps %v, damaged %v", cut, files, s.Gaps, s.Damaged)
		}
		w.noLeftovers()
	}
}

func TestDamageIsNamedAndTheRestReadable(t *testing.T) {
	for name, harm := range map[string]func(d *disk.Disk, name string){
		"missing": func(d *disk.Disk, name string) { d.Remove(name) },
		"cut":     func(d *disk.Disk, name string) { d.Put(name, d.Bytes(name)[:100]) },
		"flipped": func(d *disk.Disk, name string) {
			b := bytes.Clone(d.Bytes(name))
			b[50] ^= 1
			d.Put(name, b)
		},
	} {
		d, now := disk.New(0), day
		l := open(t, d, &now)
		for i := range 9 {
			put(t, l, happening(event.Data, fmt.Sprint(i), day))
			do(t, l.Seal(ctx))
		}
		bad := "/lake/" + l.m.Segments[4].Name
		whole := bytes.Clone(d.Bytes(bad))
		harm(d, bad)
		s, err := load(forgetful{d}, "/lake")
		do(t, err)
		found, err := s.check(ctx, forgetful{d})
		do(t, err)
		found = append(found, s.Damaged...)
		if len(found) != 1 || found[0].File.Path != bad {
			t.Errorf("%s: got %v, want %s named", name, found, bad)
		}
		if m := merge(t, l); m.Rows != 8 || l.Stats().Damaged != 1 {
			t.Errorf("%s: merged %+v, want the other eight", name, m)
		}
		s, err = load(forgetful{d}, "/lake")
		do(t, err)
		if files := s.Files(nil, time.Time{}, time.Time{}); len(files) != 1 || files[0].Rows != 8 || len(s.Damaged) != 1 {
			t.Errorf("%s: after a merge files %v, damaged %v", name, files, s.Damaged)
		}
		do(t, l.Close())
		l = open(t, d, &now)
		if added, dup := put(t, l, happening(event.Data, "0", day), happening(event.Data, "x", day)); added != 1 || dup != 1 {
			t.Errorf("%s: after opening again %d added, %d duplicate, want 1 and 1", name, added, dup)
		}
		do(t, l.Close())
		d.Put(bad, whole)
		if l = open(t, d, &now); l.Stats().Damaged != 0 {
			t.Errorf("%s: put back, and still damaged", name)
		}
	}
}

func TestManifestsThatAreRefused(t *testing.T) {
	good, err := (&manifest{Segments: []segment{{Name: "a.parquet"}}}).encode()
	do(t, err)
	odd, err := (&manifest{Segments: []segment{{Name: "../a.parquet"}}}).encode()
	do(t, err)
	for _, c := range []struct{ name, content, want string }{
		{"newer", strings.Replace(string(good), "gatehouse-lake 1", "gatehouse-lake 2", 1), "format 2, where 1 is known: written by a newer version of gatehouse; upgrade this one"},
		{"changed", strings.Replace(string(good), "a.parquet", "b.parquet", 1), "damaged"},
		{"cut", string(good[:len(good)-1]), "damaged"},
		{"empty", "", "not a manifest"},
		{"other", "PAR1", "not a manifest"},
		{"outside", string(odd), "odd file name"},
	} {
		dir := t.TempDir()
		do(t, os.WriteFile(filepath.Join(dir, manifestName), []byte(c.content), 0o600))
		do(t, os.WriteFile(filepath.Join(dir, "x.parquet"), nil, 0o600))
		_, lerr := Load(dir)
		_, oerr := Open(ctx, Options{Dir: dir})
		for _, err := range []error{lerr, oerr} {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: got %v, want %q", c.name, err, c.want)
			}
		}
		if errors.Is(lerr, ErrNewer) != (c.name == "newer") {
			t.Errorf("%s: ErrNewer: %v", c.name, lerr)
		}
		if _, err := os.Stat(filepath.Join(dir, "x.parquet")); err != nil {
			t.Errorf("%s: a segment was removed", c.name)
		}
	}
}

func TestLostManifestKeepsSegments(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "data.2026-03-01.00000000.parquet")
	do(t, os.WriteFile(name, nil, 0o600))
	if _, err := Open(ctx, Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "1 segments and no manifest") {
		t.Errorf("got %v, want a refusal", err)
	}
	if _, err := os.Stat(name); err != nil {
		t.Error("the segment was removed")
	}
}

func TestTooLargeIsLeftOut(t *testing.T) {
	d, now := disk.New(0), day
	l := open(t, d, &now)
	big := happening(event.Data, "big", day)
	big.Raw = make([]byte, MaxRow)
	if added, dup := put(t, l, big, happening(event.Data, "small", day)); added != 1 || dup != 0 {
		t.Errorf("%d added, %d duplicate, want 1 and 0", added, dup)
	}
	do(t, l.Seal(ctx))
	if s := l.Stats(); s.Refused != 1 || s.Rows != 1 {
		t.Errorf("got %+v, want one refused and one kept", s)
	}
}

func FuzzManifest(f *testing.F) {
	m := &manifest{Generation: 3, Next: 9, Cursors: map[string]string{"a": "b"}, Segments: []segment{{Name: "a.parquet"}},
		Runs: []runEntry{{Name: "1.ids"}}, Gaps: []Gap{{Rows: 1}}, Paths: catalogueOf(`{"a":[{"b.c":1}]}`).Paths}
	b, err := m.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("gatehouse-lake 1 00000000\n"))
	f.Add([]byte("gatehouse-lake 99 00000000\n{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		// Past the checksum, which a fuzzer does not find.
		if _, body, ok := bytes.Cut(b, []byte("\n")); ok {
			b = withHead(body)
		}
		m, err := decodeManifest(b)
		if err != nil {
			return
		}
		again, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeManifest(again); err != nil {
			t.Fatalf("%s: written again as %s: %v", b, again, err)
		}
	})
}

// TestAppendWhileSealing: what comes while a seal is under way is for the next
// one, also when the seal fails, and duplicates are told meanwhile.
func TestAppendWhileSealing(t *testing.T) {
	for _, fails := range []bool{false, true} {
		d, now := disk.New(0), day
		l := open(t, d, &now)
		put(t, l, happening(event.Data, "a", day))
		d.Hook(func(op disk.Op) error {
			d.Hook(nil)
			if added, dup := put(t, l, happening(event.Data, "a", day), happening(event.Data, "b", day)); added != 1 || dup != 1 {
				t.Errorf("while sealing %d added, %d duplicate, want 1 and 1", added, dup)
			}
			if fails {
				return syscall.ENOSPC
			}
			return nil
		})
		if err := l.Seal(ctx); (err != nil) != fails {
			t.Errorf("seal: got %v, want failure %v", err, fails)
		}
		do(t, l.Seal(ctx))
		if s := l.Stats(); s.Rows != 2 || s.IDs != 2 || s.Buffered != 0 {
			t.Errorf("fails %v: got %+v, want both sealed", fails, s)
		}
	}
}

// TestFullDiskBoundsMemory: while nothing can be sealed no more is taken, and
// nothing is lost when there is room again.
func TestFullDiskBoundsMemory(t *testing.T) {
	d, now := disk.New(0), day
	l := open(t, d, &now)
	l.o.SealRows = 10
	d.Hook(func(disk.Op) error { return syscall.ENOSPC })
	taken := 0
	for i := range 100 {
		if added, _, err := l.Append([]*event.Event{happening(event.Data, fmt.Sprint(i), day)}, map[string]string{"in": fmt.Sprint(i)}); err == nil {
			taken += added
		}
	}
	d.Hook(nil)
	do(t, l.Seal(ctx))
	if s := l.Stats(); taken != 10 || s.Rows != 10 || l.Cursors()["in"] != "9" {
		t.Errorf("%d taken, %d sealed, cursor %s, want 10, 10, 9", taken, s.Rows, l.Cursors()["in"])
	}
}

func TestManyGoroutines(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(ctx, Options{Dir: dir, SealRows: 20})
	do(t, err)
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 20 {
				e := happening(event.Data, fmt.Sprint(i*4+g), day)
				if _, _, err := l.Append([]*event.Event{e, e}, map[string]string{fmt.Sprint(g): fmt.Sprint(i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Go(func() {
		for range 10 {
			_, merr := l.Merge(ctx, 0)
			_, rerr := l.Retain(ctx, Retention{Age: 1 << 60})
			s, lerr := Load(dir)
			if err := errors.Join(merr, rerr, lerr, l.Tick(ctx)); err != nil || len(s.Damaged) > 0 {
				t.Error(err, s)
			}
			l.Stats()
		}
	})
	all.Wait()
	do(t, l.Close())
	s, err := Load(dir)
	do(t, err)
	var rows int64
	for _, f := range s.Files(nil, time.Time{}, time.Time{}) {
		rows += f.Rows
	}
	if rows != 80 || len(s.Cursors) != 4 {
		t.Errorf("%d rows, cursors %v, want 80 and four", rows, s.Cursors)
	}
}

// TestMergeAcrossPages merges segments of several row groups and pages.
func TestMergeAcrossPages(t *testing.T) {
	d, now := disk.New(0), day
	l := open(t, d, &now)
	l.seals.o.GroupRows = 300
	all := mix(8000)
	for i := range 8 {
		put(t, l, all[i*1000:(i+1)*1000]...)
		do(t, l.Seal(ctx))
	}
	if m := merge(t, l); m.From != 16 || m.Into != 2 || m.Rows != 8000 {
		t.Errorf("merged %+v, want 16 segments into 2", m)
	}
	got := map[string]string{}
	for _, s := range l.m.Segments {
		c := readColumns(t, d.Bytes("/lake/"+s.Name), event.MessageID, event.Field(rawField))
		for i, id := range c[0] {
			got[id.String()] = c[1][i].String()
		}
	}
	for _, e := range all {
		if id := fmt.Sprintf("%x", e.ID[:]); got[id] != string(e.Raw) {
			t.Fatalf("%s: got %q, want %q", id, got[id], e.Raw)
		}
	}
}

func TestMaintain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := Open(ctx, Options{Dir: "/lake", FS: forgetful{disk.New(0)}})
		do(t, err)
		ctx, stop := context.WithCancel(ctx)
		var done sync.WaitGroup
		done.Go(func() { l.Maintain(ctx, Retention{Age: 24 * time.Hour}) })
		for i := range 8 {
			put(t, l, happening(event.Data, fmt.Sprint(i), time.Now()))
			time.Sleep(12 * time.Second)
			if got := l.Stats().Rows; got != int64(i+1) {
				t.Errorf("12 s after the %d. event: %d rows sealed", i+1, got)
			}
		}
		time.Sleep(time.Minute)
		if s := l.Stats(); s.Segments != 1 {
			t.Errorf("a minute later: %d segments, want them merged", s.Segments)
		}
		time.Sleep(50 * time.Hour)
		if s := l.Stats(); s.Segments != 0 || s.Dropped != 0 {
			t.Errorf("two days later: got %+v, want nothing left", s)
		}
		stop()
		done.Wait()
		do(t, l.Close())
	})
}
