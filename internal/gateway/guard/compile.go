package guard

import (
	"fmt"
	"slices"
	"strings"
)

// compiled is a rule made ready to run.
type compiled struct {
	*Rule
	roles uint8 // a bit for each of roleNames
	exact bool  // match the raw text
	deep  bool  // look at what texts hide, too
	match *node

	order    int  // among the engine's rules
	scores   bool // asks a scorer
	behind   bool // asks, on the texts as they are, what they hide
	anywhere bool // looks at what is no text, too
}

// node is a [Cond] made ready to run. Its words and literals are finders: lists
// that one pass of the automaton fills for all rules at once.
type node struct {
	words     int32 // finder of the keywords; -1: none
	exact     []word
	patterns  []placed
	detectors []int
	scorers   []Scorer
	threshold float64
	minLength int
	canary    bool
	echo      bool
	any       []*node
	all       []*node
	then      []*node
	unless    []*node
	within    int
}

// placed is a pattern and the finders of its literals: near is -1 when it has
// none, and each match has one of each of also, too.
type placed struct {
	*pattern
	near int32
	also []int32
}

// use says what a literal of the automaton is good for.
type use struct {
	finder      int32
	left, right bool
}

type compiler struct {
	o        *Options
	index    map[string]int32
	literals []string
	uses     [][]use // by literal
	finders  int32
	words    int
	size     int
}

// finder returns a new finder of these words.
func (c *compiler) finder(words []word) int32 {
	id := c.finders
	c.finders++
	for _, w := range words {
		i, ok := c.index[w.text]
		if !ok {
			i = int32(len(c.literals))
			c.index[w.text] = i
			c.literals = append(c.literals, w.text)
			c.uses = append(c.uses, nil)
		}
		if u := (use{id, w.left, w.right}); !slices.Contains(c.uses[i], u) {
			c.uses[i] = append(c.uses[i], u)
		}
	}
	return id
}

func (c *compiler) rule(r *Rule) (compiled, error) {
	out := compiled{Rule: r}
	for _, name := range r.Roles {
		i := slices.Index(roleNames[:], name)
		if i < 0 {
			return out, fmt.Errorf("unknown role %q", name)
		}
		out.roles |= 1 << i
	}
	if len(r.Roles) == 0 {
		out.roles = allRoles
	}
	if !slices.Contains([]Action{Block, Mask, Flag}, r.Action) {
		return out, fmt.Errorf("unknown action %q", r.Action)
	}
	if len(r.Message) > maxMessage {
		return out, fmt.Errorf("the message is longer than %d bytes", maxMessage)
	}
	var err error
	out.exact = r.Exact || r.Match.rawOnly() // what is invisible is not in the folded text
	if out.match, err = c.node(&r.Match, out.exact, 0); err == nil {
		out.deep = r.Decode || out.match.hides()
		out.scores, out.behind, out.anywhere = out.match.scores(), out.match.encoded(), r.Match.secretsOnly()
	}
	return out, err
}

func (c *compiler) node(in *Cond, exact bool, depth int) (*node, error) {
	if depth > maxNested {
		return nil, fmt.Errorf("conditions are nested deeper than %d", maxNested)
	}
	if in.empty() {
		return nil, fmt.Errorf("a condition finds nothing")
	}
	n := &node{words: -1, threshold: in.Threshold, minLength: in.MinLength, within: in.Within}
	if n.within <= 0 {
		n.within = defaultWithin
	}
	n.within = min(n.within, maxReach)
	if n.threshold == 0 {
		n.threshold = 0.5
	}
	for _, step := range []func() error{
		func() error { return c.keywords(n, in.Keywords, exact) },
		func() error { return c.patterns(n, in.Patterns, exact) },
		func() error { return c.detectors(n, in.Detectors) },
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	for _, sub := range []struct {
		from []Cond
		to   *[]*node
	}{{in.Any, &n.any}, {in.All, &n.all}, {in.Then, &n.then}, {in.Unless, &n.unless}} {
		for i := range sub.from {
			s, err := c.node(&sub.from[i], exact, depth+1)
			if err != nil {
				return nil, err
			}
			*sub.to = append(*sub.to, s)
		}
	}
	return n, nil
}

func (c *compiler) keywords(n *node, keywords []string, exact bool) error {
	if c.words += len(keywords); c.words > maxKeywords {
		return fmt.Errorf("more than %d keywords in all", maxKeywords)
	}
	var words []word
	for _, k := range keywords {
		if err := checkKeyword(k); err != nil {
			return fmt.Errorf("keyword %.40q: %w", k, err)
		}
		w := foldWord(k)
		if exact {
			w.text = strings.Trim(k, "* ")
			n.exact = append(n.exact, w)
		}
		words = append(words, w)
	}
	if len(words) > 0 && !exact {
		n.words = c.finder(words)
	}
	return nil
}

func (c *compiler) patterns(n *node, patterns []string, exact bool) error {
	for _, text := range patterns {
		p, err := compilePattern(text, exact)
		if err != nil {
			return fmt.Errorf("pattern %.40q: %w", text, err)
		}
		if c.size += p.size; c.size > maxPrograms {
			return fmt.Errorf("the patterns compile to more than %d instructions in all", maxPrograms)
		}
		l := placed{p, -1, nil}
		if len(p.literals) > 0 && !exact {
			l.near = c.finder(literalWords(p.literals))
			for _, lits := range p.others {
				l.also = append(l.also, c.finder(literalWords(lits)))
			}
		}
		n.patterns = append(n.patterns, l)
	}
	return nil
}

func literalWords(literals []string) (words []word) {
	for _, l := range literals {
		words = append(words, word{text: strings.ReplaceAll(l, "\n", " ")})
	}
	return words
}

func (c *compiler) detectors(n *node, names []string) error {
	for _, name := range names {
		if err := checkDetector(name); err != nil {
			return err
		}
		score, ok := strings.CutPrefix(name, "score:")
		switch {
		case ok:
			s := c.o.Scorers[score]
			if s == nil {
				return fmt.Errorf("no scorer %q", score)
			}
			n.scorers = append(n.scorers, s)
		case name == "canary":
			n.canary = true
		case name == "system_echo":
			n.echo = true
		case name == "national_id":
			for i := range detectors {
				if strings.HasPrefix(detectors[i].name, "national_id:") {
					n.detectors = append(n.detectors, i)
				}
			}
		default:
			n.detectors = append(n.detectors, slices.IndexFunc(detectors[:], func(d detector) bool { return d.name == name }))
		}
	}
	return nil
}

// rawOnly reports whether c asks for nothing but what detectors find in raw text.
func (c *Cond) rawOnly() bool {
	if len(c.Keywords)+len(c.Patterns)+len(c.All)+len(c.Then)+len(c.Unless) > 0 {
		return false
	}
	for _, d := range c.Detectors {
		if d == "canary" || d == "system_echo" {
			return false
		}
	}
	for i := range c.Any {
		if !c.Any[i].rawOnly() {
			return false
		}
	}
	return true
}

// secretsOnly reports whether c asks for nothing but what detectors find in any
// text by itself.
func (c *Cond) secretsOnly() bool {
	if len(c.Keywords)+len(c.Patterns)+len(c.All)+len(c.Then)+len(c.Unless) > 0 || c.MinLength > 0 {
		return false
	}
	for _, d := range c.Detectors {
		if d == "system_echo" || d == "encoded" || strings.HasPrefix(d, "score:") {
			return false
		}
	}
	for i := range c.Any {
		if !c.Any[i].secretsOnly() {
			return false
		}
	}
	return true
}
