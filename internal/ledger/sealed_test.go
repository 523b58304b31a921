package ledger

import (
	"bytes"
	"errors"
	"iter"
	"strings"
	"testing"

	"gatehouse/internal/call"
	"gatehouse/internal/journal"
	"gatehouse/internal/seal"
)

const (
	keyA = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	keyB = "HxscGRoXGBUWExQREg8QDQ4LDAkKBwgFBgMEAQIAHh0="
)

func keys(t testing.TB, lines ...string) *seal.Keys {
	t.Helper()
	k, err := seal.ParseKeys([]byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sealed is e with its body under a key.
func sealed(k *seal.Keys, e *journal.Entry) *journal.Entry {
	m, err := Decode(e.Kind, e.Meta)
	if err != nil {
		panic(err)
	}
	var context []byte
	switch m := m.(type) {
	case *Admit:
		m.Sealed, context = k.Current(), SealContext(nil, e.Kind, m.ID, 0)
	case *Part:
		m.Sealed, context = k.Current(), SealContext(nil, e.Kind, m.ID, m.Index)
	case *Result:
		m.Sealed, context = k.Current(), SealContext(nil, e.Kind, m.ID, 0)
	}
	return &journal.Entry{Kind: e.Kind, Meta: m.AppendMeta(nil), Body: k.Seal(nil, e.Body, context)}
}

func body(e *journal.Entry, b string) *journal.Entry {
	c := *e
	c.Body = []byte(b)
	return &c
}

// gone is e without its body.
func gone(e *journal.Entry) *journal.Entry {
	c := *e
	return erased(&c)
}

func redacted(m Meta, b string) *journal.Entry {
	switch m := m.(type) {
	case *Admit:
		m.Redacted = true
	case *Result:
		m.Redacted = true
	}
	return entry(m, b)
}

// TestKept: what a joiner makes of bodies that are not as they were.
func TestKept(t *testing.T) {
	a, b := keys(t, keyA), keys(t, keyB)
	call1 := func(k *seal.Keys) []*journal.Entry {
		return []*journal.Entry{sealed(k, admit("a", "ask")), sealed(k, part("a", 0, "12")), sealed(k, part("a", 1, "34")), sealed(k, result("a", 2, 5, "5"))}
	}
	one := call1(a)
	swapped := []*journal.Entry{one[0], body(one[1], string(one[2].Body)), one[2], one[3]}
	ask, part0, answer := redacted(&Admit{Asked: Asked{ID: "a", Time: at, BodyBytes: 9}}, "***"),
		erased(part("a", 0, "")), redacted(&Result{ID: "a", Time: at, Outcome: call.OK, Parts: 1, BodyBytes: 7}, "#####")
	for _, tt := range []struct {
		name    string
		o       JoinOptions
		in      []*journal.Entry
		want    string
		masked  bool
		errs    int
		missing bool // the errors are of keys
	}{
		{name: "sealed", o: JoinOptions{Keys: a}, in: call1(a), want: "a ok ask/3 12345/5"},
		{name: "the key changed in the middle", o: JoinOptions{Keys: keys(t, keyB, keyA)}, in: append(call1(a)[:2], call1(b)[2:]...), want: "a ok ask/3 12345/5"},
		{name: "without the key", o: JoinOptions{Keys: b}, in: call1(a), want: "a ok /3 /5", errs: 4, missing: true},
		{name: "without any key", in: call1(a), want: "a ok /3 /5", errs: 4, missing: true},
		{name: "without bodies no key is wanted", o: JoinOptions{NoBodies: true}, in: call1(a), want: "a ok /3 /5"},
		{name: "parts in another order do not open", o: JoinOptions{Keys: a}, in: swapped, want: "a ok ask/3 /5", errs: 1},
		{name: "another call's body does not open", o: JoinOptions{Keys: a}, in: []*journal.Entry{
			body(one[0], string(sealed(a, admit("b", "ask")).Body)), result("a", 0, 0, "")}, want: "a ok /3 /0", errs: 1},
		{name: "an answer's body is no request", o: JoinOptions{Keys: a}, in: []*journal.Entry{
			body(one[0], string(sealed(a, result("a", 0, 3, "ask")).Body)), result("a", 0, 0, "")}, want: "a ok /3 /0", errs: 1},
		{name: "erased", in: []*journal.Entry{gone(one[0]), result("a", 0, 0, "")}, want: "a ok /3 /0"},
		{name: "redacted", in: []*journal.Entry{ask, part0, answer}, want: "a ok ***/3 #####/5", masked: true},
		{name: "redacted and erased", in: []*journal.Entry{gone(ask), part0, gone(answer)}, want: "a ok /9 /7"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			errs := 0
			for r, err := range Join(all(tt.in), tt.o) {
				if err != nil {
					errs++
					if errors.Is(err, seal.ErrNoKey) != tt.missing {
						t.Error(err)
					}
					continue
				}
				got = append(got, show(r))
				if r.Request.Redacted != tt.masked || r.Response.Redacted != tt.masked {
					t.Errorf("redacted: %v, %v", r.Request.Redacted, r.Response.Redacted)
				}
			}
			if got := strings.Join(got, "; "); got != tt.want || errs != tt.errs {
				t.Errorf("got %q and %d errors, want %q and %d", got, errs, tt.want, tt.errs)
			}
		})
	}
}

func all(entries []*journal.Entry) iter.Seq2[journal.Entry, error] {
	return func(yield func(journal.Entry, error) bool) {
		for _, e := range entries {
			if !yield(*e, nil) {
				return
			}
		}
	}
}

// TestExportSealed: without keys an export ends at once and says which one it
// lacks; with others it leaves the body out and says so at the end; the form that
// shows no bodies wants none.
func TestExportSealed(t *testing.T) {
	k := keys(t, keyA)
	ask := &Admit{Asked: Asked{ID: "a", Time: at, Operation: "InvokeModel", BodyBytes: 7, ModelAsked: "m"}}
	entries := []*journal.Entry{sealed(k, entry(ask, `{"a":1}`)), result("a", 0, 0, "")}
	for _, tt := range []struct {
		o    ExportOptions
		want string // in the output
		err  error
	}{
		{ExportOptions{Join: JoinOptions{Keys: k}}, `"inputBodyJson":{"a":1}`, nil},
		{ExportOptions{}, "", seal.ErrNoKey},
		{ExportOptions{Join: JoinOptions{Keys: keys(t, keyB)}}, `"input":{"inputContentType":"application/json"}`, seal.ErrNoKey},
		{ExportOptions{As: CloudTrail}, `"eventName":"InvokeModel"`, nil},
	} {
		var out bytes.Buffer
		_, err := Export(all(entries), tt.o, &out)
		if !errors.Is(err, tt.err) || !strings.Contains(out.String(), tt.want) || tt.err != nil && (out.Len() > 0 == (tt.want == "") || !strings.Contains(err.Error(), string(k.Current()))) {
			t.Errorf("%+v: %v\n%s", tt.o, err, &out)
		}
	}
}
