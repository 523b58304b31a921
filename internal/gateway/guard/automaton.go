package guard

import "slices"

// An automaton finds all literals of all rules in one pass over a folded text
// (Aho and Corasick). It reads a line break as a space. Building it is linear in
// the literals, running it in the text, whatever both hold. It is immutable once
// built.
//
// States are numbered breadth first, so that those near the root, in which
// ordinary text spends its time, come first and have a full row each, and the
// children of all others stand side by side.
type automaton struct {
	class [256]uint8 // 0: a byte of no literal
	width int        // number of classes
	rows  []int32    // the next state of every state up to rowDepth, by class
	full  int32      // number of states with a row

	by    []byte  // what leads to a state
	first []int32 // its first child; its last one stands before the next state's first
	fail  []int32 // where to go on when it has no child for a byte
	ends  []int32 // the literal that ends in it, -1 for none
	also  []int32 // the longest state that is an end of it and ends a literal; 0: none
	hits  []int32 // the state itself if it ends a literal, otherwise also: all that a step asks
	deep  []int16 // how many bytes lead to it
}

// rowDepth is how deep states have rows.
const rowDepth = 2

// trie is what an automaton is built from.
type trie struct {
	child, sibling int32 // 0: none
	literal        int32
	by             byte
}

// newAutomaton builds one over literals, which are found by their index.
func newAutomaton(literals []string) *automaton {
	nodes := []trie{{literal: -1}}
	for i, l := range literals {
		nodes = addLiteral(nodes, l, int32(i))
	}
	a := &automaton{width: 1}
	a.number(nodes)
	a.link()
	a.hit()
	return a
}

func addLiteral(nodes []trie, literal string, id int32) []trie {
	s := int32(0)
	for i := range len(literal) {
		next := nodes[s].child
		for next != 0 && nodes[next].by != literal[i] {
			next = nodes[next].sibling
		}
		if next == 0 {
			next = int32(len(nodes))
			nodes = append(nodes, trie{by: literal[i], literal: -1, sibling: nodes[s].child})
			nodes[s].child = next
		}
		s = next
	}
	nodes[s].literal = id
	return nodes
}

// number lays the states out breadth first.
func (a *automaton) number(nodes []trie) {
	n := len(nodes)
	a.by, a.deep = make([]byte, n), make([]int16, n)
	a.first, a.fail, a.ends, a.also = make([]int32, n+1), make([]int32, n), make([]int32, n), make([]int32, n)
	order := make([]int32, 1, n) // of the trie's nodes
	for s := 0; s < len(order); s++ {
		node := &nodes[order[s]]
		a.ends[s], a.first[s] = node.literal, int32(len(order))
		if a.deep[s] <= rowDepth {
			a.full = int32(s) + 1
		}
		for c := node.child; c != 0; c = nodes[c].sibling {
			k := len(order)
			a.by[k], a.deep[k] = nodes[c].by, a.deep[s]+1
			if a.class[a.by[k]] == 0 {
				a.class[a.by[k]] = uint8(a.width)
				a.width++
			}
			order = append(order, c)
		}
	}
	a.first[n] = int32(n)
	a.class['\n'] = a.class[' ']
}

// link sets, breadth first, where to go on from each state.
func (a *automaton) link() {
	a.rows = make([]int32, int(a.full)*a.width)
	for s := range int32(len(a.by)) {
		for c := a.first[s]; c < a.first[s+1]; c++ {
			if s != 0 {
				a.fail[c] = a.step(a.fail[s], a.by[c])
			}
			if a.also[c] = a.also[a.fail[c]]; a.ends[a.fail[c]] >= 0 {
				a.also[c] = a.fail[c]
			}
		}
		if s >= a.full {
			continue
		}
		row := a.rows[int(s)*a.width:][:a.width]
		if s != 0 {
			copy(row, a.rows[int(a.fail[s])*a.width:])
		}
		for c := a.first[s]; c < a.first[s+1]; c++ {
			row[a.class[a.by[c]]] = c
		}
	}
}

// hit sets hits.
func (a *automaton) hit() {
	a.hits = slices.Clone(a.also)
	for s, id := range a.ends {
		if id >= 0 {
			a.hits[s] = int32(s)
		}
	}
}

// step returns the state behind s on b, which is no line break.
func (a *automaton) step(s int32, b byte) int32 {
	for s >= a.full {
		for c := a.first[s]; c < a.first[s+1]; c++ {
			if a.by[c] == b {
				return c
			}
		}
		s = a.fail[s]
	}
	return a.rows[int(s)*a.width+int(a.class[b])]
}

// run tells to each literal in text, from left to right by its end.
func (a *automaton) run(text []byte, to *scan) {
	s := int32(0)
	for i, b := range text {
		if b == '\n' {
			b = ' '
		}
		s = a.step(s, b)
		for t := a.hits[s]; t != 0; t = a.also[t] {
			to.see(a.ends[t], i+1)
		}
	}
}

// depth returns how long the longest end of text is that begins a literal.
func (a *automaton) depth(text []byte) int {
	s := int32(0)
	for _, b := range text {
		if b == '\n' {
			b = ' '
		}
		s = a.step(s, b)
	}
	return int(a.deep[s])
}
