package guard

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Model is a Scorer that anyone can read: it knows concepts, which are lists of
// words, and has learnt how much each of them says, alone and in pairs: "drop"
// before "orders" says much, "orders" says little. Its score is the logistic
// function of the sum of what is present, so that a score can be taken apart
// into the pairs that made it (see [Model.Why]). It is immutable once trained,
// safe for concurrent use, and Score allocates nothing.
//
// Each pair counts once however often it is there, and by its order: one concept
// ends before the other begins, near (within nearPair bytes) or within farPair.
// The length of the text counts too, for a long text has pairs by chance.
type Model struct {
	words    map[string][]string
	concepts []string
	auto     *automaton
	uses     [][]sense
	// Weights are those of the features, by their number. Only training writes
	// them, before the model is used.
	Weights []float32
	Bias    float32
}

// sense is a concept that a literal stands for.
type sense struct {
	word
	concept int32
}

// The reach of pairs, in bytes of folded text, and the bounds of a model.
const (
	nearPair     = 20
	farPair      = 90
	maxConcepts  = 44
	maxModel     = 64 << 10
	featureWords = (numScales + maxConcepts + 2*maxConcepts*maxConcepts + 63) / 64
	maxRecent    = 64 // words that are remembered while pairs are looked for
	numScales    = 6  // steps of the length of the text
)

// NewModel returns an untrained model of concepts and their words, which are
// written like the keywords of rules.
func NewModel(words map[string][]string) (*Model, error) {
	m := &Model{words: words, concepts: slices.Sorted(maps.Keys(words))}
	if len(m.concepts) > maxConcepts {
		return nil, fmt.Errorf("%d concepts; at most %d are allowed", len(m.concepts), maxConcepts)
	}
	var literals []string
	index := map[string]int{}
	for i, c := range m.concepts {
		for _, k := range words[c] {
			if err := checkKeyword(k); err != nil {
				return nil, fmt.Errorf("concept %s: %q: %w", c, k, err)
			}
			w := foldWord(k)
			id, ok := index[w.text]
			if !ok {
				id = len(literals)
				index[w.text] = id
				literals, m.uses = append(literals, w.text), append(m.uses, nil)
			}
			m.uses[id] = append(m.uses[id], sense{w, int32(i)})
		}
	}
	m.auto = newAutomaton(literals)
	m.Weights = make([]float32, numScales+len(m.concepts)+2*len(m.concepts)*len(m.concepts))
	return m, nil
}

// Score tells how likely folded text is an attack, from 0 to 1.
func (m *Model) Score(folded []byte) float64 {
	var f Features
	m.Read(folded, &f)
	sum := float64(m.Bias)
	for i := range f.all {
		sum += float64(m.Weights[i])
	}
	return 1 / (1 + math.Exp(-sum))
}

// Features are what a model sees of a text: a set of numbers of weights.
type Features [featureWords]uint64

func (f *Features) add(i int) { f[i>>6] |= 1 << (i & 63) }

// all yields the numbers in the set.
func (f *Features) all(yield func(int) bool) {
	for i, w := range f {
		for ; w != 0; w &= w - 1 {
			if !yield(i<<6 + bits.TrailingZeros64(w)) {
				return
			}
		}
	}
}

// List returns the numbers in the set, for training.
func (f *Features) List() []int { return slices.Collect(f.all) }

// sighting is a word of a concept in a text.
type sighting struct{ start, end, concept int32 }

// recent are the last words found: as many as can matter to the next one.
type recent struct {
	ring [maxRecent]sighting
	n    int
}

// Read adds to f what folded text holds.
func (m *Model) Read(folded []byte, f *Features) {
	f.add(scale(len(folded)))
	var r recent
	s := int32(0)
	for i, b := range folded {
		if b == '\n' {
			b = ' '
		}
		s = m.auto.step(s, b)
		for t := m.auto.hits[s]; t != 0; t = m.auto.also[t] {
			m.see(folded, i+1, m.uses[m.auto.ends[t]], &r, f)
		}
	}
}

// scale is the length of a text in steps of powers of two.
func scale(n int) int { return min(max(bits.Len(uint(n)), 6)-6, numScales-1) }

func (m *Model) see(text []byte, end int, senses []sense, r *recent, f *Features) {
	for i := range senses {
		s := &senses[i]
		start := end - len(s.text)
		if !s.at(text, start, end) {
			continue
		}
		f.add(numScales + int(s.concept))
		w := sighting{int32(start), int32(end), s.concept}
		m.pair(w, r, f)
		r.ring[r.n%maxRecent] = w
		r.n++
	}
}

// pair adds the pairs that w makes with the words before it.
func (m *Model) pair(w sighting, r *recent, f *Features) {
	n := len(m.concepts)
	for i := r.n - 1; i >= max(0, r.n-maxRecent); i-- {
		v := r.ring[i%maxRecent]
		gap := w.start - v.end
		if gap > farPair {
			return
		}
		if gap < 0 {
			continue
		}
		p := numScales + n + int(v.concept)*n + int(w.concept)
		f.add(p)
		if gap <= nearPair {
			f.add(p + n*n)
		}
	}
}

// Name tells what a feature is: "drop", "drop orders" for a pair, "drop+orders"
// for a near one, "length 3".
func (m *Model) Name(feature int) string {
	i, n := feature-numScales, len(m.concepts)
	switch {
	case i < 0:
		return "length " + strconv.Itoa(feature)
	case i < n:
		return m.concepts[i]
	}
	i -= n
	by := " "
	if i >= n*n {
		i, by = i-n*n, "+"
	}
	return m.concepts[i/n] + by + m.concepts[i%n]
}

// Telling reports whether a feature may speak for an attack: a concept or a pair
// of two, but not the length of the text or a concept that comes twice.
func (m *Model) Telling(feature int) bool {
	n := len(m.concepts)
	i := feature - numScales
	return i >= 0 && (i < n || (i-n)%(n*n)/n != (i-n)%n)
}

// Alone reports whether a feature is a concept that needs no other.
func (m *Model) Alone(feature int) bool {
	return feature >= numScales && feature < numScales+len(m.concepts)
}

// Why returns the features of a text with their weights, the heaviest first.
func (m *Model) Why(folded []byte) []string {
	var f Features
	m.Read(folded, &f)
	list := f.List()
	slices.SortStableFunc(list, func(a, b int) int {
		return int(math.Copysign(1, math.Abs(float64(m.Weights[b]))-math.Abs(float64(m.Weights[a]))))
	})
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = fmt.Sprintf("%+.2f %s", m.Weights[n], m.Name(n))
	}
	return out
}

// Append writes the model as text: a line for each concept and its words, the
// bias, the weights of lengths and concepts, and for each concept those of the
// pairs that it begins, far and near. Weights of zero are left out.
func (m *Model) Append(dst []byte) []byte {
	dst = append(dst, modelHead...)
	for _, c := range m.concepts {
		dst = fmt.Appendf(dst, "concept\t%s\t%s\n", c, strings.Join(m.words[c], "|"))
	}
	dst = fmt.Appendf(dst, "bias\t%.2f\n", m.Bias)
	for _, r := range m.rows() {
		line := len(dst)
		dst = append(append(dst, r.name...), '\t')
		begin := len(dst)
		for i, column := range r.columns {
			if s := strconv.FormatFloat(float64(m.Weights[r.first+i]), 'f', 2, 32); s != "0.00" && s != "-0.00" {
				dst = fmt.Appendf(dst, "%s %s|", column, s)
			}
		}
		if len(dst) == begin {
			dst = dst[:line]
			continue
		}
		dst[len(dst)-1] = '\n'
	}
	return dst
}

// row is a line of weights: those from the first feature on.
type row struct {
	name    string
	first   int
	columns []string
}

func (m *Model) rows() []row {
	n := len(m.concepts)
	lengths := make([]string, numScales)
	for i := range lengths {
		lengths[i] = strconv.Itoa(i)
	}
	rows := []row{{"length", 0, lengths}, {"alone", numScales, m.concepts}}
	for i, c := range m.concepts {
		far := numScales + n + i*n
		rows = append(rows, row{"far " + c, far, m.concepts}, row{"near " + c, far + n*n, m.concepts})
	}
	return rows
}

const modelHead = "gatehouse guard model 1\n"

// ParseModel reads what [Model.Append] wrote. The error names the line.
func ParseModel(data []byte) (*Model, error) {
	rest, ok := bytes.CutPrefix(data, []byte(modelHead))
	if !ok || len(data) > maxModel {
		return nil, errors.New("this is no guard model, or it is too large")
	}
	lines := strings.Split(strings.TrimSuffix(string(rest), "\n"), "\n")
	words := map[string][]string{}
	n := 0
	for ; n < len(lines) && strings.HasPrefix(lines[n], "concept\t"); n++ {
		name, list, _ := strings.Cut(lines[n][len("concept\t"):], "\t")
		words[name] = strings.Split(list, "|")
	}
	m, err := NewModel(words)
	if err != nil {
		return nil, fmt.Errorf("guard model: %w", err)
	}
	rows := map[string]row{}
	for _, r := range m.rows() {
		rows[r.name] = r
	}
	for i, l := range lines[n:] {
		if err := m.weigh(l, rows); err != nil {
			return nil, fmt.Errorf("guard model: line %d: %w", n+i+2, err)
		}
	}
	return m, nil
}

// weigh reads a line of weights.
func (m *Model) weigh(line string, rows map[string]row) error {
	name, cells, _ := strings.Cut(line, "\t")
	if name == "bias" {
		w, err := weight(cells)
		m.Bias = w
		return err
	}
	r, ok := rows[name]
	if !ok {
		return fmt.Errorf("nothing is called %q", name)
	}
	for c := range strings.SplitSeq(cells, "|") {
		column, number, _ := strings.Cut(c, " ")
		i := slices.Index(r.columns, column)
		w, err := weight(number)
		if err != nil {
			return err
		}
		if i < 0 {
			return fmt.Errorf("%s has no %q", name, column)
		}
		m.Weights[r.first+i] = w
	}
	return nil
}

func weight(s string) (float32, error) {
	w, err := strconv.ParseFloat(s, 32)
	if err != nil || !(math.Abs(w) < 100) {
		return 0, fmt.Errorf("%q is no weight", s)
	}
	return float32(w), nil
}
