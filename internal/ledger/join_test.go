package ledger

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/call"
	"gatehouse/internal/journal"
)

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func entry(m Meta, body string) *journal.Entry {
	return &journal.Entry{Kind: m.Kind(), Meta: m.AppendMeta(nil), Body: []byte(body)}
}

func admit(id, body string) *journal.Entry {
	return entry(&Admit{Asked: Asked{ID: id, Time: at, BodyBytes: int64(len(body))}}, body)
}

func part(id string, index int64, body string) *journal.Entry {
	return entry(&Part{ID: id, Index: index, Bytes: int64(len(body))}, body)
}

func result(id string, parts, size int64, body string) *journal.Entry {
	return entry(&Result{ID: id, Time: at, Outcome: call.OK, Parts: parts, BodyBytes: size}, body)
}

func erased(e *journal.Entry) *journal.Entry {
	e.Erased = true
	return e
}

// show prints a record as "id outcome request/size response/size".
func show(r *Record) string {
	return fmt.Sprintf("%s %s %s/%d %s/%d", r.ID, r.Result.Outcome, r.Request.Bytes, r.Request.Size, r.Response.Bytes, r.Response.Size)
}

func TestJoiner(t *testing.T) {
	for _, tt := range []struct {
		name    string
		o       JoinOptions
		in      []*journal.Entry
		want    string // records, in order, separated by "; "
		orphans int64
	}{
		{name: "in order of completion, the open ones last",
			in:   []*journal.Entry{admit("a", "qa"), admit("b", "qb"), admit("c", "qc"), result("b", 0, 2, "rb"), admit("d", "")},
			want: "b ok qb/2 rb/2; a interrupted qa/2 /0; c interrupted qc/2 /0; d interrupted /0 /0"},
		{name: "parts and result make the answer",
			in:   []*journal.Entry{admit("a", "q"), part("a", 0, "12"), part("a", 1, "34"), result("a", 2, 5, "5")},
			want: "a ok q/1 12345/5"},
		{name: "an open stream shows its parts",
			in:   []*journal.Entry{admit("a", "q"), part("a", 0, "12")},
			want: "a interrupted q/1 12/2"},
		{name: "nothing behind a missing part",
			in:   []*journal.Entry{admit("a", "q"), part("a", 0, "12"), part("a", 2, "56"), result("a", 3, 7, "7")},
			want: "a ok q/1 12/7"},
		{name: "nothing behind an erased part",
			in:   []*journal.Entry{erased(admit("a", "q")), part("a", 0, "12"), erased(part("a", 1, "\x00\x00")), result("a", 2, 5, "5")},
			want: "a ok /1 12/5"},
		{name: "the last part is missing",
			in:   []*journal.Entry{admit("a", "q"), part("a", 0, "12"), result("a", 2, 5, "5")},
			want: "a ok q/1 12/5"},
		{name: "a result that lost its body",
			in:   []*journal.Entry{admit("a", "q"), part("a", 0, "12"), result("a", 1, 5, "")},
			want: "a ok q/1 12/5"},
		{name: "without an admit there is no record",
			in:   []*journal.Entry{part("a", 0, "1"), result("a", 1, 1, ""), admit("b", ""), result("b", 0, 0, ""), result("b", 0, 0, "")},
			want: "b ok /0 /0", orphans: 3},
		{name: "the first of two admits stands",
			in:   []*journal.Entry{admit("a", "1"), admit("a", "2"), result("a", 0, 0, "")},
			want: "a ok 1/1 /0", orphans: 1},
		{name: "one body is cut at its bound", o: JoinOptions{Body: 3},
			in:   []*journal.Entry{admit("a", "12345"), part("a", 0, "12"), part("a", 1, "34"), result("a", 2, 5, "5")},
			want: "a ok 123/5 123/5"},
		{name: "all bodies are cut at theirs, which completion frees", o: JoinOptions{Total: 4},
			in:   []*journal.Entry{admit("a", "123"), admit("b", "456"), result("a", 0, 0, ""), admit("c", "789"), result("b", 0, 1, "x"), result("c", 0, 1, "y")},
			want: "a ok 123/3 /0; b ok 4/3 /1; c ok 789/3 y/1"},
		{name: "the oldest call is given up at the bound of calls", o: JoinOptions{Calls: 2},
			in:   []*journal.Entry{admit("a", "1"), admit("b", "2"), admit("c", "3"), result("a", 0, 0, "")},
			want: "a interrupted 1/1 /0; b interrupted 2/1 /0; c interrupted 3/1 /0", orphans: 1},
		{name: "a refusal closes an admit",
			in:   []*journal.Entry{admit("a", "q"), entry(&Refused{Asked: Asked{ID: "a", Time: at, BodyBytes: 1}, Reason: "recorder_down"}, "")},
			want: "a  /1 /0"},
		{name: "other kinds are none of our business",
			in: []*journal.Entry{{Kind: journal.KindSnapshot, Meta: []byte("\xff")}, {Kind: 99}, entry(&Account{Time: at}, ""), entry(&Tally{First: at, Last: at}, "")}},
	} {
		j := Joiner{Options: tt.o}
		var got []string
		for _, e := range tt.in {
			r, err := j.Add(e)
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			if r != nil {
				got = append(got, show(r))
			}
		}
		for r := range j.Rest() {
			got = append(got, show(r))
		}
		if s := strings.Join(got, "; "); s != tt.want || j.Orphans != tt.orphans {
			t.Errorf("%s:\n got %s, %d orphans\nwant %s, %d", tt.name, s, j.Orphans, tt.want, tt.orphans)
		}
		if j.held != 0 || len(j.open) != 0 || j.order.Len() != 0 {
			t.Errorf("%s: still holds %d bytes, %d calls", tt.name, j.held, len(j.open))
		}
	}
}

func TestJoinerKeepsNoMemoryOfEntries(t *testing.T) {
	var j Joiner
	a, r := admit("a", "question"), result("a", 0, 6, "answer")
	j.Add(a)
	clear(a.Meta)
	clear(a.Body)
	got, err := j.Add(r)
	clear(r.Meta)
	clear(r.Body)
	if err != nil || show(got) != "a ok question/8 answer/6" {
		t.Errorf("got %s, %v", show(got), err)
	}
}

func TestJoinDamagedBody(t *testing.T) {
	damage := &journal.Damage{What: "body"}
	seq := func(yield func(journal.Entry, error) bool) {
		_ = yield(*admit("a", "xx"), damage) && yield(*result("a", 0, 1, "r"), nil)
	}
	var got []string
	for r, err := range Join(seq, JoinOptions{}) {
		if err != nil {
			got = append(got, err.Error())
			continue
		}
		got = append(got, show(r))
	}
	if want := []string{damage.Error(), "a ok /2 r/1"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOpen(t *testing.T) {
	var o Open
	o.Hold("c", Amounts{{Limit: "requests", N: 1}})
	o.Hold("d", nil)
	for _, e := range []*journal.Entry{
		admit("b", ""), admit("a", ""), admit("e", ""), result("e", 0, 0, ""), result("d", 0, 0, ""), part("b", 0, ""),
		admit("f", ""), entry(&Refused{Asked: Asked{ID: "f", Time: at}, Reason: "recorder_down"}, ""),
		{Kind: journal.KindSnapshot}, {Kind: KindAccount, Meta: []byte("not ours to read")},
	} {
		if err := o.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Add(&journal.Entry{Kind: KindAdmit, Meta: []byte("{")}); err == nil {
		t.Error("a broken admit was accepted")
	}
	var ids string
	for _, a := range o.Interrupted() {
		ids += a.ID
	}
	if ids != "abc" {
		t.Errorf("open: %q, want abc", ids)
	}
	c := o.Interrupted()[2].Interrupted(at)
	if c.Outcome != call.Interrupted || !c.Worked || len(c.Settled) != 1 || c.ID != "c" {
		t.Errorf("got %+v, want a result that keeps what was held", c)
	}
}

func TestOf(t *testing.T) {
	long := strings.Repeat("é", 3000)
	c := &call.Call{
		ID: "id", RequestID: "req", Time: at, UserAgent: long, Host: long, RawPath: long, Method: "POST",
		Operation: &bedrock.Operation{Name: "ApplyGuardrail", Stream: true},
		Target:    bedrock.Target{Guardrail: "g", Version: "1", Model: "by path"},
		Model:     model.Ref{ID: "m"},
		Principal: &call.Principal{UserID: "u", User: "ann", Team: "t", Key: "k", Scheme: call.APIKey},
		Header:    http.Header{"X-Amzn-Bedrock-Request-Metadata": {`{"a":"b"}`}},
		MaxTokens: 5, InputEstimate: 6, Amounts: []call.Amount{{Limit: "l", N: 1}},
	}
	c.SetBody([]byte("forwarded"))
	c.OriginalSHA256[0] = 1
	a := AdmitOf(c, "1", "r")
	switch {
	case len(a.UserAgent) != maxAgent || len(a.Host) != maxName,
		a.ModelAsked != "by path" || a.Model != "m" || a.Guardrail != "g:1" || a.Metadata != `{"a":"b"}`,
		a.BodyBytes != 9 || a.BodySHA256 != c.BodySHA256 || a.OriginalSHA256 != c.OriginalSHA256,
		a.Principal != Principal{"u", "ann", "t", "k", "api_key"},
		a.Principal.ARN("1") != "arn:aws:iam::1:user/t/ann",
		a.MaxTokens != 5 || a.InputEstimate != 6 || len(a.Amounts) != 1:
		t.Errorf("got %+v", a)
	}
	c.OriginalSHA256 = c.BodySHA256
	if a := AdmitOf(c, "1", "r"); a.OriginalSHA256 != (Sum{}) {
		t.Error("the same hash was recorded twice")
	}
	r := ResultOf(c, &call.Result{Message: long, Body: []byte("123"), Status: 200, Usage: call.Usage{Input: 1, Exact: true}}, 2, 10)
	if len(r.Message) != maxText || r.BodyBytes != 13 || r.Parts != 2 || !r.Stream || r.Usage != (Usage{Input: 1, Exact: true}) || r.RequestID != "req" {
		t.Errorf("got %+v", r)
	}
	f := RefusedOf(&call.Call{ID: "id", Time: at, RawPath: long}, call.BadPath.With(long), "1", "r")
	if len(f.Path) != maxModel || len(f.Detail) != maxText || f.Reason != "bad_path" || f.Status != 400 || f.Operation != "" || (f.Principal != Principal{}) {
		t.Errorf("got %+v", f)
	}
}
