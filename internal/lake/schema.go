package lake

import (
	"reflect"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"gatehouse/internal/event"
)

// RawColumn holds the text of the record itself.
const RawColumn = "_raw"

// rawField is the column after those of event.Columns.
const (
	rawField   = int(event.NumFields)
	numColumns = rawField + 1
)

// unique are text columns whose values seldom repeat, so that a dictionary
// would only repeat the column.
var unique = map[event.Field]bool{
	event.MessageID: true, event.EventID: true, event.RequestID: true, event.CallID: true,
}

// bloomed are the columns that people look a single record up by.
var bloomed = []event.Field{event.MessageID, event.RequestID}

// schema is the one schema of all files of all strands: a column a row of
// event.Columns, in that order, and the record's text. All but the time may be
// absent, also those that never are, so that a column can be added or dropped
// without a second kind of file.
var schema = parquet.NewSchema("event", newTable())

// table is a parquet.Group that keeps its fields in the order of event.Columns.
type table struct {
	parquet.Group
	fields []parquet.Field
}

func newTable() table {
	g := parquet.Group{RawColumn: parquet.Optional(parquet.String())}
	place := map[string]int{RawColumn: rawField}
	for f := range event.NumFields {
		g[event.Columns[f].Name] = leaf(f)
		place[event.Columns[f].Name] = int(f)
	}
	fields := g.Fields()
	slices.SortFunc(fields, func(a, b parquet.Field) int { return place[a.Name()] - place[b.Name()] })
	return table{g, fields}
}

// Fields implements parquet.Node.
func (t table) Fields() []parquet.Field { return t.fields }

// GoType implements parquet.Node. Rows of this schema are never Go values.
func (t table) GoType() reflect.Type { return reflect.TypeFor[event.Event]() }

func leaf(f event.Field) parquet.Node {
	switch c := event.Columns[f]; c.Kind {
	case event.Int:
		return parquet.Optional(parquet.Encoded(parquet.Int(64), &parquet.Plain))
	case event.Float:
		return parquet.Optional(parquet.Leaf(parquet.DoubleType))
	case event.Bool:
		return parquet.Optional(parquet.Leaf(parquet.BooleanType))
	default:
		if c.Wide || unique[f] {
			return parquet.Optional(parquet.String())
		}
		return parquet.Optional(parquet.Encoded(parquet.String(), &parquet.RLEDictionary))
	}
}

// wide tells whether a column holds texts of any length.
func wide(col int) bool { return col == rawField || event.Columns[col].Wide }

func columnName(col int) string {
	if col == rawField {
		return RawColumn
	}
	return event.Columns[col].Name
}

// pageBytes is the size of a page: what a reader of one value must decompress,
// and what the compressor sees at once.
const pageBytes = 1 << 20

// writerOptions are those of every file. The dictionary of a column that turns
// out to have many values is given up at a megabyte.
func writerOptions(codec compress.Codec) []parquet.WriterOption {
	o := []parquet.WriterOption{
		schema,
		parquet.Compression(codec),
		parquet.CreatedBy("gatehouse", "1", ""),
		parquet.PageBufferSize(pageBytes),
		parquet.DictionaryMaxBytes(1 << 20),
		parquet.DataPageVersion(1), // every reader knows it
		parquet.SortingWriterConfig(parquet.SortingColumns(parquet.Ascending(event.Columns[event.MessageTime].Name))),
	}
	for col := range numColumns {
		if wide(col) {
			o = append(o, parquet.SkipPageBounds(columnName(col)), parquet.SkipPageStatistics(columnName(col)))
		}
	}
	var filters []parquet.BloomFilterColumn
	for _, f := range bloomed {
		filters = append(filters, parquet.SplitBlockFilter(10, event.Columns[f].Name))
	}
	return append(o, parquet.BloomFilters(filters...))
}
