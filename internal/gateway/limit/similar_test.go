package limit_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/call"
	"gatehouse/internal/gateway/limit"
	"gatehouse/internal/strictjson"
)

// vary fills in a flood's template and, at random, changes case and spaces.
func vary(rnd *rand.Rand, template string) string {
	s := strings.ReplaceAll(template, "%N", strconv.Itoa(rnd.IntN(1000)))
	s = strings.ReplaceAll(s, "%W", names[rnd.IntN(len(names))])
	s = strings.ReplaceAll(s, "%X", strconv.FormatUint(rnd.Uint64(), 36)+"7")
	switch rnd.IntN(4) {
	case 0:
		s = strings.ToUpper(s)
	case 1:
		s = strings.ReplaceAll(s, " ", "  ") + "\n"
	case 2:
		s = s + " " + strconv.Itoa(rnd.IntN(1e6))
	}
	return s
}

// TestSketchRates measures, by fixed seed, how many pairs of everyday prompts
// are taken for alike, and how many variations of a flood for the first of it.
func TestSketchRates(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	joined, pairs := 0, 0
	for i, a := range everyday {
		for _, b := range everyday[:i] {
			pairs++
			if n, enough := limit.Matches(limit.Sketch(a), limit.Sketch(b)); n >= enough {
				t.Logf("alike: %q and %q: %d", a, b, n)
				joined++
			}
		}
	}
	caught, sent := 0, 0
	for _, f := range floods {
		first, of := limit.Sketch(vary(rnd, f)), 0
		for range 100 {
			sent++
			if n, enough := limit.Matches(first, limit.Sketch(vary(rnd, f))); n >= enough {
				of++
			}
		}
		t.Logf("caught %d of 100: %s", of, f)
		caught += of
	}
	t.Logf("false joins: %d of %d pairs; caught: %d of %d variations", joined, pairs, caught, sent)
	if joined > 0 {
		t.Errorf("%d of %d pairs of everyday prompts are taken for alike, want none", joined, pairs)
	}
	if caught < sent*95/100 {
		t.Errorf("caught %d of %d variations, want 95 of 100", caught, sent)
	}
}

// say gives a call a prompt.
func say(t testing.TB, c *call.Call, texts ...string) *call.Call {
	t.Helper()
	raw, err := json.Marshal(map[string][]string{"said": texts})
	if err != nil {
		t.Fatal(err)
	}
	c.Doc = new(strictjson.Document)
	if err := c.Doc.Parse(raw, strictjson.Options{}); err != nil {
		t.Fatal(err)
	}
	for n := c.Doc.First(c.Doc.Get(0, "said")); n != strictjson.None; n = c.Doc.Next(n) {
		c.LastTurn = append(c.LastTurn, n)
	}
	return c
}

var flood = limit.Limit{Name: "flood", Per: []string{"similar_prompt", "user"}, Measure: "requests", Max: 30, Window: minute}

// admitted counts how many of n prompts, one every tenth of a second, pass.
func admitted(t testing.TB, l *limit.Limiter, now time.Time, user string, n int, prompt func(i int) string) (passed int) {
	t.Helper()
	for i := range n {
		if _, ref := l.Reserve(ctx, say(t, newCall(user), prompt(i)), now.Add(time.Duration(i)*100*time.Millisecond)); ref == nil {
			passed++
		}
	}
	return passed
}

// TestFlood: variations of a prompt count as one, other prompts and other users
// by themselves, and a restart changes nothing.
func TestFlood(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	l := newLimiter(t, noon, flood)
	for _, f := range floods {
		if n := admitted(t, l, noon, "ann", 50, func(int) string { return vary(rnd, f) }); n != 30 {
			t.Errorf("admitted %d of 50, want 30: %s", n, f)
		}
	}
	if n := admitted(t, l, noon, "bob", len(everyday), func(i int) string { return everyday[i] }); n != len(everyday) {
		t.Errorf("admitted %d of %d everyday prompts", n, len(everyday))
	}
	if n := admitted(t, l, noon, "bob", 9, func(int) string { return vary(rnd, floods[0]) }); n != 9 {
		t.Errorf("admitted %d of another user, want 9", n)
	}
	if n := admitted(t, l, noon, "cat", 40, func(int) string { return "hi" }); n != 30 {
		t.Errorf("admitted %d of a short prompt, want 30", n)
	}

	again := newLimiter(t, noon.Add(5*time.Second), flood)
	if err := again.Restore(l.Snapshot()); err != nil {
		t.Fatal(err)
	}
	replayed := newLimiter(t, noon.Add(5*time.Second), flood)
	for id, amounts := range l.Open() {
		replayed.ReplayAdmit(id, amounts)
	}
	for name, l := range map[string]*limit.Limiter{"restored": again, "replayed": replayed} {
		for _, f := range floods {
			if n := admitted(t, l, noon.Add(5*time.Second), "ann", 5, func(int) string { return vary(rnd, f) }); n != 0 {
				t.Errorf("%s: admitted %d more: %s", name, n, f)
			}
		}
	}
}

// TestPromptKeys: what is the same prompt, and what has none.
func TestPromptKeys(t *testing.T) {
	key := func(texts ...string) string {
		l := newLimiter(t, noon, flood)
		c := say(t, newCall("ann"), texts...)
		if len(texts) == 0 {
			c.Doc, c.LastTurn = nil, nil
		}
		if _, ref := l.Reserve(ctx, c, noon); ref != nil {
			t.Fatal(ref)
		}
		if len(c.Amounts) == 0 {
			return ""
		}
		user, cluster, _ := strings.Cut(c.Amounts[0].Key, ",")
		if user != "ann" || cluster != c.Similar {
			t.Errorf("key %q, similar %q", c.Amounts[0].Key, c.Similar)
		}
		return cluster
	}
	if got := key(); got != "" {
		t.Errorf("no prompt: got %q, want no bucket", got)
	}
	for _, same := range [][]string{
		{"What is a heat pump, exactly?", "what is a heat pump exactly", "  WHAT is\n\na heat-pump: exactly!!", "what is a he\u200bat pump exactly", "ｗｈａｔ　ｉｓ　ａ heat pump exactly"},
		{"count to 10", "count to 99999", "Count to 3.5!"},
		{"hi", "Hi!", " hi "},
		{"", "?!", "..."},
		{"猫 が 好き", "猫が好き。"},
	} {
		for _, s := range same[1:] {
			if key(s) != key(same[0]) {
				t.Errorf("%q and %q are different", s, same[0])
			}
		}
	}
	if key("hi") == key("ho") || key("hi") == key("") || key("one", "two") == key("two", "one") {
		t.Error("different short prompts are the same")
	}
	if key("a long question", "in two parts of a message") != key("a long question in two parts of a message") {
		t.Error("how a prompt is divided into blocks matters")
	}
	// Of a long prompt the two ends are read.
	long := func(head, tail string) string {
		return head + strings.Repeat(" filler", 30_000) + strings.Repeat(" end"+tail, 9_000)
	}
	first, again := key(long("a", "")), key(long("a", ""))
	if first != again || first == key(long("a", "ing")) {
		t.Error("long prompts: want the same for the same, and another for another end")
	}
}

// TestClusterMemory: what is kept of users and of prompts is bounded, and the
// very same prompt is found after it was forgotten.
func TestClusterMemory(t *testing.T) {
	l := newLimiter(t, noon, limit.Limit{Name: "flood", Per: []string{"user", "similar_prompt"}, Measure: "requests", Max: 1, Window: minute})
	ask := func(user, prompt string) *call.Refusal {
		c := say(t, newCall(user), prompt)
		_, ref := l.Reserve(ctx, c, noon)
		l.Settle(c, &call.Result{Worked: true}, noon)
		return ref
	}
	const prompt = "please describe the bridge over the river in the valley"
	if ref := ask("ann", prompt); ref != nil {
		t.Fatal(ref)
	}
	for i := range 10_000 {
		ask(fmt.Sprint("user", i), everyday[i%len(everyday)])
	}
	for i := range 100 {
		ask("ann", everyday[i%len(everyday)])
	}
	if ask("ann", prompt) == nil {
		t.Error("the same prompt passed twice")
	}
	if scopes, known := limit.Clusters(l); scopes > 1<<13 || known > 32 {
		t.Errorf("keeps %d users with up to %d prompts", scopes, known)
	}
}

func FuzzSketch(f *testing.F) {
	for _, s := range everyday {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a := limit.Sketch(s)
		if n, _ := limit.Matches(a, limit.Sketch(s)); len(a) != 64 || n != 64 {
			t.Errorf("%q: sketch %s agrees with itself in %d bins", s, a, n)
		}
		if b := limit.Sketch("  " + s + " !"); a != b {
			t.Errorf("%q: white space and punctuation change %s to %s", s, a, b)
		}
	})
}

func BenchmarkSketch(b *testing.B) {
	for _, size := range []int{100, 1 << 10, 64 << 10} {
		text := strings.Repeat(everyday[8]+" ", size/len(everyday[8])+1)[:size]
		l := newLimiter(b, noon, limit.Limit{Name: "flood", Per: []string{"user", "similar_prompt"}, Measure: "requests", Max: 1e9, Window: minute})
		c, r := say(b, newCall("ann"), text), &call.Result{Worked: true}
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				d, _ := l.Reserve(ctx, c, noon)
				l.Settle(c, r, noon)
				d.Free()
			}
		})
	}
}
