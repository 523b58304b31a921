package guard

import (
	"fmt"
	"hash/maphash"
	"strings"
	"testing"
	"time"

	"gatehouse/guards"
	"gatehouse/internal/call"
)

// shipped is the engine of a new installation.
func shipped(t testing.TB) *Engine {
	t.Helper()
	rules, err := Parse("default.yaml", guards.Default)
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseModel(guards.Injection)
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Options{Rules: rules, Scorers: map[string]Scorer{"injection": m}, Canaries: []string{"canary-6b1f"}, Budget: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// prose is ordinary text of about n bytes, in sentences that are not alike.
func prose(n int) string {
	things := []string{"harbour", "invoice", "garden", "function", "recipe", "journal", "railway", "lecture", "budget", "violin", "meadow", "contract", "kettle"}
	verbs := []string{"opens", "covers", "follows", "returns", "explains", "holds", "crosses", "repeats", "measures", "lights"}
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "In %d the %s %s a %s, so that nobody near the %s had to wait longer than needed. ", 1900+i%120, things[i%13], verbs[i*7%10], things[(i*5+3)%13], things[(i*11+7)%13])
		if i%9 == 8 {
			b.WriteString("\n\n")
		}
	}
	return b.String()[:n]
}

// BenchmarkInbound reads prompts that were not seen before, whole.
func BenchmarkInbound(b *testing.B) {
	e := shipped(b)
	for _, kb := range []int{1, 32, 200} {
		b.Run(fmt.Sprintf("%dKB", kb), func(b *testing.B) {
			calls := make([]*call.Call, 64) // with the memory emptied in between, each is new
			for i := range calls {
				calls[i] = callOf(b, "converse", converse(fmt.Sprintf("%d. ", i)+prose(kb<<10)))
			}
			if v := e.Inbound(b.Context(), calls[0]); v.Blocked || v.Refusal != nil {
				b.Fatalf("%+v", v)
			}
			b.SetBytes(int64(kb << 10))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%len(calls) == 0 {
					e.memory.seeds[0] = maphash.MakeSeed()
				}
				e.Inbound(b.Context(), calls[i%len(calls)])
			}
		})
	}
}

// BenchmarkConversation is a prompt of 32 KB of which all but the last two
// messages, of 1 KB each, was sent with the call before.
func BenchmarkConversation(b *testing.B) {
	e := shipped(b)
	turns := make([]turn2, 31)
	for i := range turns {
		turns[i] = turn2{[]string{"user", "assistant"}[i%2], []string{fmt.Sprintf("%d. ", i) + strings.TrimRight(prose(1000), " ,") + "."}}
	}
	calls := make([]*call.Call, 64)
	for i := range calls {
		turns[29].texts[0] = fmt.Sprint(i, ": ", prose(1000), ".")
		turns[30].texts[0] = fmt.Sprint(i, ". ", prose(1000), ".")
		calls[i] = conversation(b, "", turns)
	}
	b.SetBytes(32 << 10)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%len(calls) == 0 { // forget all, and learn the history
			b.StopTimer()
			e.memory.seeds[0] = maphash.MakeSeed()
			e.Inbound(b.Context(), conversation(b, "", turns[:29]))
			b.StartTimer()
		}
		e.Inbound(b.Context(), calls[i%len(calls)])
	}
}

// BenchmarkStream is the cost of one frame, in answers of 200.
func BenchmarkStream(b *testing.B) {
	e := shipped(b)
	w := &wires[0]
	c := callOf(b, w.family, w.body)
	frame := w.piece("the harbour opens ")
	b.ReportAllocs()
	var s *Stream
	for i := 0; b.Loop(); i++ {
		if i%200 == 0 {
			s = e.Stream(c)
		}
		s.Frame(frame)
	}
}

func BenchmarkWhole(b *testing.B) {
	e := shipped(b)
	c := callOf(b, "converse", converse("hi"))
	body := []byte(`{"output":{"message":{"content":[{"text":` + js(prose(2<<10)) + `}],"role":"assistant"}}}`)
	b.ReportAllocs()
	for b.Loop() {
		e.Whole(b.Context(), c, "application/json", body)
	}
}
