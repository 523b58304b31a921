package clickhouse

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/big"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/lake"
)

// decoder reads one cell.
type decoder func(*bufio.Reader) (event.Value, error)

// maxNesting bounds a type within types.
const maxNesting = 4

// decoderOf understands the types that printed statements give, and those that
// people's own SQL gives most. Another is refused with what to do.
func decoderOf(name string) (decoder, lake.Col, error) { return nested(name, maxNesting) }

func nested(name string, depth int) (decoder, lake.Col, error) {
	base, arg := name, ""
	if i := strings.IndexByte(name, '('); i > 0 && strings.HasSuffix(name, ")") {
		base, arg = name[:i], name[i+1:len(name)-1]
	}
	if t, ok := simple[base]; ok {
		return t.read, lake.Col{Kind: t.kind}, nil
	}
	if depth == 0 {
		return nil, lake.Col{}, fmt.Errorf("the type %s is nested too deep", name)
	}
	switch base {
	case "Nullable":
		d, c, err := nested(arg, depth-1)
		return nullable(d), c, err
	case "LowCardinality":
		return nested(arg, depth-1)
	case "Array":
		if d, c, err := nested(arg, depth-1); err == nil && c.Kind == event.Text && !c.List {
			return list(d), lake.Col{Kind: event.Text, List: true}, nil
		}
	case "FixedString":
		if n, err := strconv.ParseUint(arg, 10, 32); err == nil && n <= maxText {
			return func(in *bufio.Reader) (event.Value, error) { return text(readN(in, n)) }, lake.Col{Kind: event.Text}, nil
		}
	case "DateTime64":
		if digits, err := strconv.Atoi(strings.SplitN(arg, ",", 2)[0]); err == nil && digits >= 0 && digits <= 9 {
			return moment(digits), lake.Col{Kind: event.Text}, nil
		}
	case "Nothing":
		return func(*bufio.Reader) (event.Value, error) { return event.Value{}, nil }, lake.Col{Kind: event.Text}, nil
	}
	return nil, lake.Col{}, fmt.Errorf("the type %s is not read here; put toString or a cast around it", name)
}

// simple are the types whose layout has no argument that matters.
var simple = map[string]struct {
	kind event.Kind
	read decoder
}{
	"Bool":  {event.Bool, boolean},
	"UInt8": {event.Int, unsigned(1)}, "UInt16": {event.Int, unsigned(2)}, "UInt32": {event.Int, unsigned(4)}, "UInt64": {event.Int, unsigned(8)},
	"Int8": {event.Int, signed(1)}, "Int16": {event.Int, signed(2)}, "Int32": {event.Int, signed(4)}, "Int64": {event.Int, signed(8)},
	"Int128": {event.Int, huge(16, true)}, "UInt128": {event.Int, huge(16, false)}, "Int256": {event.Int, huge(32, true)}, "UInt256": {event.Int, huge(32, false)},
	"Float32": {event.Float, float32s}, "Float64": {event.Float, float64s},
	"String": {event.Text, func(in *bufio.Reader) (event.Value, error) { return text(readText(in, maxText)) }},
	"Date":   {event.Text, day(2)}, "Date32": {event.Text, day(4)}, "DateTime": {event.Text, second},
	"UUID": {event.Text, uuid}, "IPv4": {event.Text, ipv4}, "IPv6": {event.Text, ipv6},
}

// text is a value of text; what is not UTF-8 is made so.
func text(s string, err error) (event.Value, error) {
	return event.Value{Kind: event.Text, S: strings.ToValidUTF8(s, "\uFFFD")}, err
}

// word reads n bytes, the lowest first.
func word(in *bufio.Reader, n int) (uint64, error) {
	var b [8]byte
	_, err := io.ReadFull(in, b[:n])
	return binary.LittleEndian.Uint64(b[:]), err
}

func boolean(in *bufio.Reader) (event.Value, error) {
	n, err := word(in, 1)
	if err == nil && n > 1 {
		err = fmt.Errorf("a Bool of %d", n)
	}
	return event.Value{Kind: event.Bool, N: int64(n)}, err
}

// unsigned is an Int where it fits, else the nearest Float.
func unsigned(n int) decoder {
	return func(in *bufio.Reader) (event.Value, error) {
		x, err := word(in, n)
		if x > math.MaxInt64 {
			return event.Value{Kind: event.Float, F: float64(x)}, err
		}
		return event.Value{Kind: event.Int, N: int64(x)}, err
	}
}

func signed(n int) decoder {
	shift := 64 - 8*n
	return func(in *bufio.Reader) (event.Value, error) {
		x, err := word(in, n)
		return event.Value{Kind: event.Int, N: int64(x<<shift) >> shift}, err
	}
}

func huge(n int, sign bool) decoder {
	return func(in *bufio.Reader) (event.Value, error) {
		b := make([]byte, n)
		if _, err := io.ReadFull(in, b); err != nil {
			return event.Value{}, err
		}
		slices.Reverse(b)
		x := new(big.Int).SetBytes(b)
		if sign && b[0] >= 0x80 {
			x.Sub(x, new(big.Int).Lsh(big.NewInt(1), uint(8*n)))
		}
		if x.IsInt64() {
			return event.Value{Kind: event.Int, N: x.Int64()}, nil
		}
		f, _ := new(big.Float).SetInt(x).Float64()
		return event.Value{Kind: event.Float, F: f}, nil
	}
}

// float is null where core knows no such number.
func float(f float64, err error) (event.Value, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return event.Value{}, err
	}
	return event.Value{Kind: event.Float, F: f}, err
}

func float32s(in *bufio.Reader) (event.Value, error) {
	n, err := word(in, 4)
	return float(float64(math.Float32frombits(uint32(n))), err)
}

func float64s(in *bufio.Reader) (event.Value, error) {
	n, err := word(in, 8)
	return float(math.Float64frombits(n), err)
}

// nullable reads the byte that says null first.
func nullable(d decoder) decoder {
	return func(in *bufio.Reader) (event.Value, error) {
		switch b, err := in.ReadByte(); {
		case err != nil:
			return event.Value{}, err
		case b == 1:
			return event.Value{}, nil
		case b != 0:
			return event.Value{}, fmt.Errorf("a mark of null of %d", b)
		}
		return d(in)
	}
}

// list gives the texts as one JSON array. The array of one NULL is the list that
// is null, see internal/query/sql; other nulls are left out.
func list(d decoder) decoder {
	return func(in *bufio.Reader) (event.Value, error) {
		n, err := binary.ReadUvarint(in)
		if err != nil {
			return event.Value{}, err
		}
		texts, size := []string{}, 0
		for range n {
			v, err := d(in)
			if err != nil {
				return event.Value{}, err
			}
			if n == 1 && v.Kind == event.None {
				return event.Value{}, nil
			}
			if size += len(v.S) + 1; size > maxText {
				return event.Value{}, fmt.Errorf("a list of more than %d bytes", maxText)
			}
			if v.Kind == event.Text {
				texts = append(texts, v.S)
			}
		}
		out, err := json.Marshal(texts)
		return event.Value{Kind: event.Text, S: string(out)}, err
	}
}

func day(n int) decoder {
	read := signed(n)
	if n == 2 {
		read = unsigned(n)
	}
	return func(in *bufio.Reader) (event.Value, error) {
		v, err := read(in)
		return event.Value{Kind: event.Text, S: time.Unix(v.N*86400, 0).UTC().Format(time.DateOnly)}, err
	}
}

func second(in *bufio.Reader) (event.Value, error) {
	n, err := word(in, 4)
	return event.Value{Kind: event.Text, S: time.Unix(int64(n), 0).UTC().Format(time.DateTime)}, err
}

// moment is a DateTime64 of that many digits after the second.
func moment(digits int) decoder {
	unit := int64(math.Pow10(digits))
	layout := time.DateTime
	if digits > 0 {
		layout += "." + strings.Repeat("0", digits)
	}
	return func(in *bufio.Reader) (event.Value, error) {
		x, err := word(in, 8)
		n := int64(x)
		at := time.Unix(n/unit, n%unit*(1_000_000_000/unit)).UTC()
		return event.Value{Kind: event.Text, S: at.Format(layout)}, err
	}
}

// uuid is two words, each with its lowest byte first.
func uuid(in *bufio.Reader) (event.Value, error) {
	var b [16]byte
	if _, err := io.ReadFull(in, b[:]); err != nil {
		return event.Value{}, err
	}
	slices.Reverse(b[:8])
	slices.Reverse(b[8:])
	h := hex.EncodeToString(b[:])
	return event.Value{Kind: event.Text, S: h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]}, nil
}

func ipv4(in *bufio.Reader) (event.Value, error) {
	n, err := word(in, 4)
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(n))
	return event.Value{Kind: event.Text, S: netip.AddrFrom4(b).String()}, err
}

func ipv6(in *bufio.Reader) (event.Value, error) {
	var b [16]byte
	_, err := io.ReadFull(in, b[:])
	return event.Value{Kind: event.Text, S: netip.AddrFrom16(b).String()}, err
}
