package journal_test

import (
	"bytes"
	_ "embed"
	"encoding/hex"
	"fmt"
	"testing"

	"gatehouse/internal/journal"
	"gatehouse/internal/testkit/disk"
)

// v1 is a segment of four entries as sample writes them, from 12:00:01 on, a
// second apart. It was written once: journals like it are on people's disks.
//
//go:embed testdata/v1.seg
var v1 []byte

// TestFormat: what was written in format 1 is read, to the last bit of the chain.
func TestFormat(t *testing.T) {
	d := disk.New(0)
	d.Put("/j/00000000000000000001.seg", v1)
	i := 0
	for e, err := range journal.Read(d, "/j", 1) {
		meta, body := fmt.Sprintf("meta %d", i), bytes.Repeat([]byte{'a' + byte(i)}, 20*i)
		at := fmt.Sprintf("2026-11-22 12:00:%02d +0000 UTC", i+1)
		if err != nil || string(e.Meta) != meta || !bytes.Equal(e.Body, body) || e.Seq != uint64(i+1) || e.Kind != 2 || e.Time.String() != at {
			t.Errorf("entry %d: %v, %+v", i, err, e)
		}
		i++
	}
	r, err := journal.Verify(d, "/j")
	const head = "9145d269c9e8179103879aaeb8d0e9a025a280b2e75aa2ab8b65747d5a66ea6e"
	if err != nil || !r.OK() || i != 4 || hex.EncodeToString(r.Head[:]) != head {
		t.Errorf("%v: %d entries, want head %s\n%v", err, i, head, &r)
	}
}
