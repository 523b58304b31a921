package journal_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"gatehouse/internal/journal"
	"gatehouse/internal/testkit/disk"
)

func seedSegments(f *testing.F) {
	const second, third, fourth = 64 + 114, 64 + 2*114 + 20, 64 + 3*114 + 60
	f.Add(v1, false)
	f.Add(v1, true)
	f.Add(v1[:fourth+50], false)
	f.Add(v1[:64], false)
	f.Add(slices.Concat(v1[:third], v1[fourth:]), false)
	f.Add(slices.Concat(v1[:second+10], make([]byte, third-second-20), v1[third-10:]), false)
	f.Add(slices.Concat(make([]byte, 64), v1[64:]), false)
	f.Add(journal.HeaderOfVersion(2), false)
}

// FuzzRecover: whatever is in the newest segment, Open refuses it or makes a
// journal of it that can be written, read and opened again.
func FuzzRecover(f *testing.F) {
	seedSegments(f)
	f.Fuzz(func(t *testing.T, content []byte, resum bool) {
		if resum {
			content = journal.Resum(content)
		}
		d := disk.New(0)
		d.Put("/j/00000000000000000001.seg", content)
		o := journal.Options{FS: d, Dir: "/j", BallastBytes: -1}
		j, rec, err := journal.Open(context.Background(), o, func(journal.Entry) error { return nil })
		if err != nil {
			return
		}
		if err := j.Append(2, []byte("new"), nil, nil); err != nil {
			t.Fatal(err)
		}
		if s := j.Stats(); s.Seq != rec.Last+1 {
			t.Fatalf("appended frame %d behind %d", s.Seq, rec.Last)
		}
		j.Close()
		r, err := journal.Verify(d, "/j")
		if err != nil || r.Tail != 0 || r.Last != rec.Last+1 {
			t.Fatalf("%v\n%v", err, &r)
		}
		j, again, err := journal.Open(context.Background(), o, func(journal.Entry) error { return nil })
		if err != nil || again.Dropped != 0 || again.Last != r.Last {
			t.Fatalf("opened again: %v, %+v", err, again)
		}
		j.Close()
	})
}

// FuzzReadSegment: reading and verifying arbitrary bytes ends, without a panic,
// and yields no more than there is.
func FuzzReadSegment(f *testing.F) {
	seedSegments(f)
	f.Fuzz(func(t *testing.T, content []byte, resum bool) {
		if resum {
			content = journal.Resum(content)
		}
		d := disk.New(0)
		d.Put("/j/00000000000000000001.seg", content)
		bytes, last := 0, uint64(0)
		for e, err := range journal.Read(d, "/j", 0) {
			if _, damaged := errors.AsType[*journal.Damage](err); err != nil && !damaged && !errors.Is(err, journal.ErrVersion) {
				t.Fatal(err)
			}
			if e.Seq != 0 && e.Seq <= last {
				t.Fatalf("entry %d behind %d", e.Seq, last)
			}
			last = max(last, e.Seq)
			bytes += len(e.Meta) + len(e.Body)
		}
		if bytes > len(content) {
			t.Fatalf("%d bytes out of %d", bytes, len(content))
		}
		if _, err := journal.Verify(d, "/j"); err != nil && !errors.Is(err, journal.ErrVersion) {
			t.Fatal(err)
		}
	})
}

// FuzzEraseNote: Open obeys no note that harms more than bodies.
func FuzzEraseNote(f *testing.F) {
	const name, second = "00000000000000000001.seg", 64 + 114
	f.Add(journal.EraseNote(name, second+114, 20))
	f.Add([]byte("00000000000000000001.seg"))
	f.Fuzz(func(t *testing.T, note []byte) {
		d := disk.New(0)
		d.Put("/j/"+name, v1)
		d.Put("/j/erasing", note)
		j, rec, err := journal.Open(context.Background(), journal.Options{FS: d, Dir: "/j", BallastBytes: -1}, nil)
		if err != nil || rec.Last != 4 {
			t.Fatalf("%v, %+v", err, rec)
		}
		j.Close()
		mustVerify(t, d, "/j", 4)
	})
}
