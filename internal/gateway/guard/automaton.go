package guard

// An automaton finds all literals of all rules in one pass over a folded text
// (Aho and Corasick). It reads a line break as a space. Building it is linear in
// the literals, running it in the text, whatever both hold. It is immutable once
// linked.
type automaton struct {
	class [256]uint8 // 0: a byte of no literal
	width int        // number of classes
	near  []int32    // the next state of every state up to nearDepth, by class
	far   []state
}

// nearDepth is how deep states have a full row: ordinary text seldom gets deeper.
const nearDepth = 2

type state struct {
	child, sibling int32 // 0: none
	fail           int32
	literal        int32 // that ends here, -1 for none
	shorter        int32 // the longest state that is a suffix and ends a literal; 0: none
	row            int32 // in near, -1 for none
	depth          int32
	by             byte
}

// newAutomaton builds one over literals, which are found by their index.
func newAutomaton(literals []string) *automaton {
	a := &automaton{far: []state{{literal: -1}}}
	for i, l := range literals {
		a.add(l, int32(i))
	}
	a.classes()
	a.link()
	return a
}

func (a *automaton) add(literal string, id int32) {
	s := int32(0)
	for i := range len(literal) {
		next := a.child(s, literal[i])
		if next == 0 {
			next = int32(len(a.far))
			a.far = append(a.far, state{by: literal[i], literal: -1, sibling: a.far[s].child, depth: a.far[s].depth + 1})
			a.far[s].child = next
		}
		s = next
	}
	a.far[s].literal = id
}

func (a *automaton) child(s int32, b byte) int32 {
	for c := a.far[s].child; c != 0; c = a.far[c].sibling {
		if a.far[c].by == b {
			return c
		}
	}
	return 0
}

func (a *automaton) classes() {
	a.width = 1
	for i := 1; i < len(a.far); i++ {
		if b := a.far[i].by; a.class[b] == 0 && a.width < 256 {
			a.class[b] = uint8(a.width)
			a.width++
		}
	}
	a.class['\n'] = a.class[' ']
}

// link sets, breadth first, where to go on when a state has no child for a byte,
// and the rows of the states near the root.
func (a *automaton) link() {
	queue := []int32{0}
	for i := 0; i < len(queue); i++ {
		s := queue[i]
		for c := a.far[s].child; c != 0; c = a.far[c].sibling {
			if s != 0 {
				a.far[c].fail = a.step(a.far[s].fail, a.far[c].by)
			}
			fail := a.far[c].fail
			a.far[c].shorter = a.far[fail].shorter
			if a.far[fail].literal >= 0 {
				a.far[c].shorter = fail
			}
			queue = append(queue, c)
		}
		a.addRow(s)
	}
}

func (a *automaton) addRow(s int32) {
	if a.far[s].depth > nearDepth {
		a.far[s].row = -1
		return
	}
	row := make([]int32, a.width)
	if s != 0 {
		fail := a.far[a.far[s].fail].row
		copy(row, a.near[fail:int(fail)+a.width])
	}
	for c := a.far[s].child; c != 0; c = a.far[c].sibling {
		row[a.class[a.far[c].by]] = c
	}
	a.far[s].row = int32(len(a.near))
	a.near = append(a.near, row...)
}

func (a *automaton) step(s int32, b byte) int32 {
	for {
		if row := a.far[s].row; row >= 0 {
			return a.near[int(row)+int(a.class[b])]
		}
		if c := a.child(s, b); c != 0 {
			return c
		}
		s = a.far[s].fail
	}
}

// run tells to each literal in text, from left to right by its end.
func (a *automaton) run(text []byte, to *scan) {
	if len(a.far) == 1 {
		return
	}
	s := int32(0)
	for i, b := range text {
		if b == '\n' {
			b = ' '
		}
		s = a.step(s, b)
		st := &a.far[s]
		if st.literal < 0 && st.shorter == 0 {
			continue
		}
		if st.literal >= 0 {
			to.see(st.literal, i+1)
		}
		for t := st.shorter; t != 0; t = a.far[t].shorter {
			to.see(a.far[t].literal, i+1)
		}
	}
}
