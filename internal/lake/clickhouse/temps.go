package clickhouse

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"gatehouse/internal/event"
	"gatehouse/internal/lake"
)

// Small tables travel as RowBinary: for each cell a byte that says null, then
// the value: eight bytes of a number, one of a Bool, a length and a text.

func tempStructure(t lake.Temp) string {
	cols := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		cols[i] = "c" + strconv.Itoa(i) + " " + sqlTypes[c.Kind]
	}
	return strings.Join(cols, ", ")
}

func tempRows(t lake.Temp) []byte {
	var b []byte
	for _, row := range t.Rows {
		for i, c := range t.Columns {
			b = appendCell(b, row[i], c.Kind)
		}
	}
	return b
}

// appendCell writes a cell. A value of another kind than its column's is null,
// save that integers fit columns of floats.
func appendCell(b []byte, v event.Value, kind event.Kind) []byte {
	switch {
	case v.Kind == event.Int && kind == event.Float:
		return binary.LittleEndian.AppendUint64(append(b, 0), math.Float64bits(float64(v.N)))
	case v.Kind != kind || kind == event.None:
		return append(b, 1)
	case kind == event.Int:
		return binary.LittleEndian.AppendUint64(append(b, 0), uint64(v.N))
	case kind == event.Float:
		return binary.LittleEndian.AppendUint64(append(b, 0), math.Float64bits(v.F))
	case kind == event.Bool:
		return append(b, 0, byte(v.N&1))
	}
	s := strings.ToValidUTF8(v.S, "\uFFFD")
	return append(binary.AppendUvarint(append(b, 0), uint64(len(s))), s...)
}
