// Package guard decides whether texts may pass: those of a prompt on their way
// to the model, and those of the answer on their way back, whole or streamed.
//
// A [Rule] says what to look for and whether to block, mask or flag it; rules
// come from files (see [Parse]) and are compiled together into an [Engine],
// which is immutable, so that a reload swaps one engine for another.
//
// Looking goes like this. The texts of a call are laid one behind the other, those of
// one role together, so that an attack that is split over blocks or turns is
// found as well. They are folded (see [Fold]), and one pass finds all words of
// all rules. Only rules whose words are there go on: to regular expressions
// (RE2, run near a literal of theirs), to groups of things near each other, to
// detectors of secrets and personal data. Rules that ask for it also see what
// base64, hexadecimal, rot13, Braille and other dressings hide, two layers deep. All of this is linear
// in the text and bounded by a time per call; when the time is over, or a rule
// or a scorer breaks, the guard is down for this call, which Options.OnError
// turns into a refusal or a note, never into silence.
//
// Rules that ask nothing but detectors of secrets see ids, settings and numbers as
// well. Files in base64 are read when they are text, whole and also as UTF-16; of
// others the runs of text in them. PDF and the formats of office programs pack
// their text and are not read: the verdict has a note for them, unread-document.
//
// What is forwarded is what was sent, but for the masks.
//
// To add a rule: an entry of a rule file. To add a detector: a row of the table
// in detect.go, its line in [Detectors], and its cases in detect_test.go.
package guard

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/call"
	"gatehouse/internal/strictjson"
)

// Options are what an Engine is built from.
type Options struct {
	Rules    []Rule            // in order; of two of one name the first counts, so own files stand before packs
	Actions  map[string]string // by rule name, in place of its own: block, mask, flag or off
	Observe  bool              // all rules
	OnError  string            // deny (also when empty) or allow
	Canaries []string          // what must never appear; at least 8 bytes each
	Budget   time.Duration     // time to judge a text of up to 256 KiB, and in proportion for more; 0: a second
	Scorers  map[string]Scorer // by the name behind "score:"

	// Remember is how many keys of clean texts are kept, 16 bytes each; 0: 65,536,
	// which is 1 MiB; below 0: none, and every prompt is read whole.
	Remember int

	// Everything has masks reach every string and number of a body, also ids and
	// settings, and numbers become strings: for bodies that are kept, not for such
	// as are sent.
	Everything bool

	// Bedrock asks a guardrail of Bedrock about texts, which come from a prompt
	// (source INPUT) or an answer (OUTPUT). Nil: there is none. It is not asked
	// about streams.
	Bedrock func(ctx context.Context, c *call.Call, source string, texts []string) (GuardrailAnswer, error)
}

// Scorer judges how likely a text is what a rule is after, from 0 to 1. It gets
// up to 2 KiB of folded text, overlapping parts of a longer one. It must be safe for
// concurrent use, must not keep the text, and must judge by nothing but it, since
// clean texts are remembered.
type Scorer interface {
	Score(folded []byte) float64
}

// GuardrailAnswer is what Bedrock's guardrail said.
type GuardrailAnswer struct {
	Intervened bool
	Message    string // what to say in place of the text
}

// defaultBudget is far more than any text needs: it is there for what we did not
// think of, not to refuse calls on a busy machine.
const defaultBudget = time.Second

// The roles, in the order in which texts are laid out: attacks that begin in the system
// prompt's last words and end in the user's first ones are still in one piece.
var roleNames = [...]string{bedrock.RoleSystem, bedrock.RoleUser, bedrock.RoleTool, bedrock.RoleOther, bedrock.RoleAssistant}

const (
	allRoles      = 1<<len(roleNames) - 1
	roleAssistant = len(roleNames) - 1
)

func roleIndex(role string) int {
	if i := slices.Index(roleNames[:], role); i >= 0 {
		return i
	}
	return slices.Index(roleNames[:], bedrock.RoleOther)
}

// Engine is a set of rules, compiled. It is immutable and safe for concurrent use.
type Engine struct {
	o        Options
	in, out  []compiled
	words    *automaton
	literals []string
	uses     [][]use // by literal
	finders  int
	canary   int32               // finder of the canaries
	hints    [numDisguises]int32 // finders of the words that show them
	spelling int32               // finder of the spelling alphabet

	detectorHints [numDetectors]int32 // finders
	decodeIn      bool
	decodeOut     bool
	echo          bool
	anywhere      bool // a rule looks at what is no text
	hold          hold
	jobs          sync.Pool
	memory        *memory // nil: none
	leastLong     int     // the least MinLength of rules for prompts; 0: none
}

// New compiles the rules. The error names the first rule that cannot be used.
func New(o Options) (*Engine, error) {
	if o.OnError != "" && o.OnError != "deny" && o.OnError != "allow" {
		return nil, fmt.Errorf("on_error %q is unknown; write deny or allow", o.OnError)
	}
	if o.Budget <= 0 {
		o.Budget = defaultBudget
	}
	e := &Engine{o: o}
	c := &compiler{o: &e.o, index: map[string]int32{}}
	rules, err := effective(&o)
	if err != nil {
		return nil, err
	}
	for i := range rules {
		r, err := c.rule(&rules[i])
		if err != nil {
			return nil, fmt.Errorf("%srule %s: %w", rules[i].At, rules[i].Name, err)
		}
		r.order = i
		e.place(r)
	}
	if e.canary, err = c.canaries(o.Canaries); err != nil {
		return nil, err
	}
	for i := range e.hints {
		e.hints[i] = c.finder(disguises[i].hints())
	}
	e.spelling = c.finder(codeHints())
	for i := range detectors {
		e.detectorHints[i] = c.finder(hintsOf(detectors[i].hints))
	}
	e.words, e.literals, e.uses, e.finders = newAutomaton(c.literals), c.literals, c.uses, int(c.finders)
	e.hold = holdOf(e.out, &o)
	if o.Remember >= 0 {
		e.memory = newMemory(cmp.Or(o.Remember, defaultRemember))
	}
	e.jobs.New = func() any { return newJob(e) }
	return e, nil
}

func (p Place) String() string {
	if p.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d:%d: ", p.File, p.Line, p.Col)
}

// effective returns the rules that count, with the actions that count.
func effective(o *Options) ([]Rule, error) {
	var rules []Rule
	seen := map[string]bool{}
	for _, r := range o.Rules {
		if r.Name == "" {
			return nil, fmt.Errorf("%sa rule has no name", r.At)
		}
		if !validName.MatchString(r.Name) {
			return nil, fmt.Errorf("%srule name %.80q: use up to 64 of a-z, 0-9, dot, dash and underscore", r.At, r.Name)
		}
		if seen[r.Name] {
			continue
		}
		seen[r.Name] = true
		if a, ok := o.Actions[r.Name]; ok {
			r.Action = Action(a)
		}
		if r.Direction == "" {
			r.Direction = In
		}
		if r.Action != Off {
			rules = append(rules, r)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Actions)) {
		if !seen[name] {
			return nil, fmt.Errorf("an action is given to rule %q, which does not exist", name)
		}
	}
	if len(rules) > maxRules {
		return nil, fmt.Errorf("%d rules; at most %d are allowed", len(rules), maxRules)
	}
	return rules, nil
}

func (e *Engine) place(r compiled) {
	if r.Direction != Out {
		e.in = append(e.in, r)
		if n := r.match.shortest(); n > 0 && (e.leastLong == 0 || n < e.leastLong) {
			e.leastLong = n
		}
		e.decodeIn = e.decodeIn || r.deep
		e.anywhere = e.anywhere || r.anywhere
	}
	if r.Direction != In && r.roles&(1<<roleAssistant) != 0 {
		e.out = append(e.out, r)
		e.decodeOut = e.decodeOut || r.deep
		e.echo = e.echo || r.match.echoes()
	}
}

func hintsOf(list []string) (words []word) {
	for _, s := range list {
		words = append(words, word{text: string(Fold(nil, []byte(s)))})
	}
	return words
}

// leastCanary keeps a canary from being a word that anybody may say.
const leastCanary = 8

func (c *compiler) canaries(list []string) (int32, error) {
	var words []word
	for _, s := range list {
		w := word{text: string(Fold(nil, []byte(s)))}
		if len(w.text) < leastCanary || len(w.text) > maxReach {
			return 0, fmt.Errorf("a canary has %d bytes; %d to %d are allowed", len(w.text), leastCanary, maxReach)
		}
		words = append(words, w)
	}
	return c.finder(words), nil
}

// Verdict is what the guard says about the texts of one call.
type Verdict struct {
	Blocked bool
	Rule    string            // that blocked
	Message string            // to the caller, when blocked
	Edits   []strictjson.Edit // the masks, sorted, for the document that was judged
	Notes   []call.Note       // what was flagged, masked or only observed; one for each rule
	Refusal *call.Refusal     // the guard cannot judge, and the call must not go on
}

// Hit is what a rule found in a text.
type Hit struct {
	Rule       string
	Action     Action
	Observe    bool
	Start, End int  // in the text, of what was found, or of what hides it
	Decoded    bool // found in a decoded form
}
