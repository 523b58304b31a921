// Package mmdb writes small address databases in MaxMind's format, for tests
// that need a real one without a network.
//
// [Encode] takes networks and what is known of each. The search tree is of
// IPv6, in which IPv4 stands at ::/96, with records of 24 bits. The format is
// described at https://maxmind.github.io/MaxMind-DB/.
package mmdb

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// Map is a record, or a part of one: its values are string, int (written as
// uint32), []string and Map.
type Map = map[string]any

// Encode returns a database of the given type, such as "GeoLite2-Country". It
// panics when a value is of another type or a network lies within another: the
// caller is a test with constants.
func Encode(databaseType string, networks map[netip.Prefix]Map) []byte {
	t := tree{nodes: [][2]int{{empty, empty}}}
	for _, p := range slices.SortedFunc(maps.Keys(networks), netip.Prefix.Compare) {
		offset := len(t.data)
		t.data = appendValue(t.data, networks[p])
		t.insert(p, offset)
	}
	out := append(t.records(), make([]byte, 16)...)
	out = append(out, t.data...)
	out = append(out, "\xab\xcd\xefMaxMind.com"...)
	return appendValue(out, Map{
		"binary_format_major_version": 2, "binary_format_minor_version": 0, "build_epoch": 1763769600,
		"database_type": databaseType, "description": Map{"en": "made for a test"}, "ip_version": 6,
		"languages": []string{"en"}, "node_count": len(t.nodes), "record_size": 24,
	})
}

// tree is the search tree. A child is the index of a node, empty, or for data
// at an offset: leaf-offset.
type tree struct {
	nodes [][2]int
	data  []byte
}

const (
	empty = -1
	leaf  = -2
)

func (t *tree) insert(p netip.Prefix, offset int) {
	addr, bits := p.Addr().As16(), p.Bits()
	if p.Addr().Is4() {
		addr[10], addr[11] = 0, 0 // ::a.b.c.d, not the mapped ::ffff:a.b.c.d
		bits += 96
	}
	at := 0
	for i := range bits - 1 {
		next := &t.nodes[at][bit(addr, i)]
		if *next == empty {
			*next = len(t.nodes)
			t.nodes = append(t.nodes, [2]int{empty, empty})
		}
		if at = t.nodes[at][bit(addr, i)]; at < 0 {
			panic(fmt.Sprintf("mmdb: %s lies within another network", p))
		}
	}
	if t.nodes[at][bit(addr, bits-1)] != empty {
		panic(fmt.Sprintf("mmdb: %s holds another network", p))
	}
	t.nodes[at][bit(addr, bits-1)] = leaf - offset
}

func bit(addr [16]byte, i int) int { return int(addr[i/8]>>(7-i%8)) & 1 }

func (t *tree) records() []byte {
	var out []byte
	for _, n := range t.nodes {
		for _, child := range n {
			switch {
			case child == empty:
				child = len(t.nodes)
			case child <= leaf:
				child = len(t.nodes) + 16 + leaf - child
			}
			out = append(out, byte(child>>16), byte(child>>8), byte(child))
		}
	}
	return out
}

// The types of the format that are written here.
const (
	typeString = 2
	typeUint32 = 6
	typeMap    = 7
	typeArray  = 11
)

func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return append(appendHead(b, typeString, len(v)), v...)
	case int:
		return append(appendHead(b, typeUint32, 4), byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	case []string:
		b = appendHead(b, typeArray, len(v))
		for _, s := range v {
			b = appendValue(b, s)
		}
		return b
	case Map:
		b = appendHead(b, typeMap, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			b = appendValue(appendValue(b, k), v[k])
		}
		return b
	}
	panic(fmt.Sprintf("mmdb: a value of type %T", v))
}

// appendHead writes the control byte: three bits of type, five of size; a type
// above 7 has a byte of its own, and so has a size above 28.
func appendHead(b []byte, kind, size int) []byte {
	if size > 28+256 {
		panic("mmdb: a value too long for a test")
	}
	control, more := size, []byte(nil)
	if size > 28 {
		control, more = 29, []byte{byte(size - 29)}
	}
	if kind > 7 {
		return append(append(b, byte(control), byte(kind-7)), more...)
	}
	return append(append(b, byte(kind<<5|control)), more...)
}
