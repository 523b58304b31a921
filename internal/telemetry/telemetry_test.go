package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/telemetry"
	"gatehouse/internal/telemetry/arrive"
)

// memory is a sink that remembers, and forgets what was not sealed.
type memory struct {
	mu      sync.Mutex
	seen    map[event.ID]bool
	names   []string // of events, in order
	sealed  []string
	cursors map[string]string
	durable map[string]string
	fail    error
}

func newMemory() *memory {
	return &memory{seen: map[event.ID]bool{}, cursors: map[string]string{}, durable: map[string]string{}}
}

func (m *memory) Append(events []*event.Event, cursors map[string]string) (added, duplicates int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return 0, 0, m.fail
	}
	for _, e := range events {
		if m.seen[e.ID] {
			duplicates++
			continue
		}
		m.seen[e.ID] = true
		m.names = append(m.names, e.Text(event.EventName))
		added++
	}
	for name, c := range cursors {
		m.cursors[name] = c
	}
	return added, duplicates, nil
}

func (m *memory) Seal(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sealed = slices.Clone(m.names)
	for name, c := range m.cursors {
		m.durable[name] = c
	}
	return nil
}

func (m *memory) Cursors() map[string]string { return m.durable }

// list is a source of texts, a delivery each; its cursor is how many were taken.
type list struct {
	name  string
	how   string
	texts []string
	taken []int
	fail  map[int]error // before the delivery of that number, once
	wait  bool          // for the end, behind the last
}

func (l *list) Name() string        { return l.name }
func (l *list) State() arrive.State { return arrive.State{} }

func (l *list) Run(ctx context.Context, cursor string, deliver func(*arrive.Delivery) error) error {
	from, _ := strconv.Atoi(cursor)
	for i := from; i < len(l.texts); i++ {
		if err := l.fail[i]; err != nil {
			delete(l.fail, i)
			return err
		}
		d := &arrive.Delivery{
			Origin: event.Origin{Name: l.name}, How: l.how, Received: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC),
			Body: strings.NewReader(l.texts[i]), Cursor: strconv.Itoa(i + 1),
			Taken: func() { l.taken = append(l.taken, i) },
		}
		if err := deliver(d); err != nil {
			return err
		}
	}
	if l.wait {
		<-ctx.Done()
	}
	return nil
}

// trail is a CloudTrail record of that name, which is its event id too.
func trail(name string) string {
	return fmt.Sprintf(`{"eventVersion":"1.11","eventTime":"2026-03-01T12:00:00Z","eventSource":"s3.amazonaws.com","eventName":%q,"eventID":%q,"awsRegion":"us-east-1","eventType":"AwsApiCall","eventCategory":"Data","userIdentity":{"type":"IAMUser"}}`+"\n", name, name)
}

func path(m *memory, o telemetry.Options) *telemetry.Path {
	o.Into, o.Log = m, slog.New(slog.DiscardHandler)
	return telemetry.New(o)
}

// Deliveries become events in order; broken records are told and stop nothing;
// what is told twice counts once.
func TestOnce(t *testing.T) {
	m := newMemory()
	var problems []string
	p := path(m, telemetry.Options{Batch: 2, Problem: func(e event.Problem) { problems = append(problems, e.Origin.Name+": "+e.Code) }})
	l := &list{name: "l", how: arrive.ByFile, texts: []string{
		trail("a") + trail("b") + trail("a"), trail("c") + `{"eventVersion":"1.11","eventTime":`, trail("d") + "<nonsense>\n" + trail("e"),
	}}
	if err := p.Run(t.Context(), true, l); err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b", "c", "d", "e"}; !slices.Equal(m.sealed, want) {
		t.Errorf("sealed %v, want %v", m.sealed, want)
	}
	if len(problems) != 2 || !strings.HasPrefix(problems[0], "l: ") {
		t.Errorf("problems %q, want two of l", problems)
	}
	s := p.Stats()[0]
	if s.Source != "l" || s.Deliveries != 3 || s.Records != 6 || s.Added != 5 || s.Duplicates != 1 || s.Problems != 2 || s.Strands[event.Data] != 6 {
		t.Errorf("stats %+v", s)
	}
	if m.durable["l"] != "3" || !slices.Equal(l.taken, []int{0, 1, 2}) {
		t.Errorf("cursor %q, taken %v", m.durable["l"], l.taken)
	}
}

// With once, the error of a source is the end's, and the others go on.
func TestOnceFails(t *testing.T) {
	m := newMemory()
	bad := &list{name: "bad", how: arrive.ByFile, texts: []string{trail("a"), trail("b")}, fail: map[int]error{1: errors.New("gone")}}
	good := &list{name: "good", how: arrive.ByFile, texts: []string{trail("c")}}
	err := path(m, telemetry.Options{}).Run(t.Context(), true, bad, good)
	if err == nil || err.Error() != "source bad: gone" {
		t.Errorf("got %v, want that source bad is gone", err)
	}
	slices.Sort(m.sealed)
	if want := []string{"a", "c"}; !slices.Equal(m.sealed, want) {
		t.Errorf("sealed %v, want %v", m.sealed, want)
	}
}

// A source that fails is run again from what was sealed, after a pause, and
// nothing counts twice. Senders hear only of what is sealed.
func TestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		l := &list{name: "l", how: arrive.ByPush, wait: true, texts: []string{trail("a"), trail("b"), trail("c")}, fail: map[int]error{2: errors.New("gone")}}
		p := path(m, telemetry.Options{})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx, false, l) }()
		synctest.Wait()
		if s := p.Stats()[0]; s.Failure != "source l: gone" || s.Added != 2 || len(m.sealed) > 0 || len(l.taken) > 0 {
			t.Errorf("before a seal: %+v, sealed %v, taken %v", s, m.sealed, l.taken)
		}
		time.Sleep(1100 * time.Millisecond) // in the bubble: the pause before it is run again
		synctest.Wait()
		if s := p.Stats()[0]; s.Failure != "" || s.Added != 3 || s.Duplicates != 2 {
			t.Errorf("after the pause: %+v, want the third event, and two told again", s)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if want := []string{"a", "b", "c"}; !slices.Equal(m.sealed, want) || len(l.taken) != 5 {
			t.Errorf("after a seal: sealed %v, want %v; taken %v", m.sealed, want, l.taken)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// Without its sink the path ends, and says why.
func TestSinkFails(t *testing.T) {
	for _, once := range []bool{true, false} {
		m := newMemory()
		m.fail = errors.New("disk full")
		l := &list{name: "l", how: arrive.ByFile, texts: []string{trail("a")}, wait: true}
		if err := path(m, telemetry.Options{}).Run(t.Context(), once, l); err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("once %v: got %v, want disk full", once, err)
		}
	}
}

const ours = `{"schemaType":"ModelInvocationLog","timestamp":"2026-03-01T12:00:00Z","requestId":"q","operation":"Converse","eventName":"Converse","gateway":{"callId":"c1","outcome":"ok"}}`

// Only the gateway's journal speaks for the gateway.
func TestGuarded(t *testing.T) {
	for _, c := range []struct {
		how     string
		guarded bool
		want    int
	}{{arrive.ByJournal, true, 1}, {arrive.ByPush, true, 0}, {arrive.ByFile, true, 0}, {arrive.ByFile, false, 1}} {
		m := newMemory()
		var codes []string
		p := path(m, telemetry.Options{Guarded: c.guarded, Problem: func(e event.Problem) { codes = append(codes, e.Code) }})
		if err := p.Run(t.Context(), true, &list{name: "l", how: c.how, texts: []string{ours}}); err != nil {
			t.Fatal(err)
		}
		if len(m.sealed) != c.want || len(codes) != 1-c.want {
			t.Errorf("%s, guarded %v: %d events and problems %v, want %d", c.how, c.guarded, len(m.sealed), codes, c.want)
		}
	}
}

// AWS's records of calls that passed the gateway are marked.
func TestPassed(t *testing.T) {
	passed := telemetry.NewPassed()
	passed.Add("ours")
	for request, want := range map[string]bool{"ours": true, "theirs": false, "": false} {
		if got := passed.Has(request); got != want {
			t.Errorf("Has(%q) = %v, want %v", request, got, want)
		}
	}
}

func TestDeadLetters(t *testing.T) {
	dir := t.TempDir()
	d, err := telemetry.OpenDead(dir)
	if err != nil {
		t.Fatal(err)
	}
	d.Add("push", event.Problem{Origin: event.Origin{Name: "x", Line: 3}, Code: "truncated", Reason: "ends", Bytes: []byte(`{"a":`)})
	d.Add("push", event.Problem{Code: "bad_gzip", Bytes: []byte{0x1f, 0x8b, 0xff}})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "dead.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"name":"x","line":3,"offset":0,"code":"truncated","reason":"ends","text":"{\"a\":"`, `"code":"bad_gzip"`, `"base64":"H4v/"`} {
		if !bytes.Contains(b, []byte(want)) {
			t.Errorf("the letters lack %s:\n%s", want, b)
		}
	}
}
