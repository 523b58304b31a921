package duck

import (
	"bytes"
	"testing"

	"gatehouse/internal/event"
	"gatehouse/internal/lake"
)

func TestCells(t *testing.T) {
	row := []event.Value{{}, {Kind: event.Text, S: "é\x00"}, {Kind: event.Text}, {Kind: event.Int, N: -1 << 63}, {Kind: event.Bool, N: 1}, {Kind: event.Float, F: -0.1}}
	var b []byte
	for _, v := range row {
		b = appendCell(b, v)
	}
	for i, want := range row {
		var got event.Value
		var err error
		if got, b, err = cell(b); err != nil || got != want {
			t.Errorf("cell %d: got %v, %v; want %v", i, got, err, want)
		}
	}
}

// FuzzFrames reads anything as frames and rows: no panic, and no memory for
// bytes that did not arrive.
func FuzzFrames(f *testing.F) {
	var b bytes.Buffer
	_ = writeFrame(&b, frameTemp, appendCell([]byte{0}, event.Value{Kind: event.Text, S: "x"}))
	f.Add(b.Bytes())
	f.Add([]byte("R\xff\xff\xff\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		for {
			_, payload, err := readFrame(r, nil)
			if err != nil {
				return
			}
			if cap(payload) > 3<<20+2*len(in) {
				t.Fatalf("%d bytes of memory for %d", cap(payload), len(in))
			}
			_ = addRows([]lake.Temp{{Columns: make([]lake.Col, 2)}}, payload)
		}
	})
}
