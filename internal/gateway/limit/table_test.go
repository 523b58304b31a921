package limit_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/call"
	"gatehouse/internal/gateway/limit"
)

// TestTables: limits share a table when they count the same calls by the same
// things, and in no other case.
func TestTables(t *testing.T) {
	base := limit.Limit{Name: "a", Per: []string{"user"}, Measure: "requests", Max: 9, Window: minute}
	for _, tt := range []struct {
		name   string
		change func(l *limit.Limit)
		share  bool
	}{
		{"window", func(l *limit.Limit) { l.Window = limit.Day }, true},
		{"measure", func(l *limit.Limit) { l.Measure = "models" }, true},
		{"leases", func(l *limit.Limit) { l.Measure = "concurrency" }, true},
		{"wait", func(l *limit.Limit) { l.Action, l.Wait = limit.Wait, time.Second }, true},
		{"per", func(l *limit.Limit) { l.Per = []string{"user", "model"} }, false},
		{"order of per", func(l *limit.Limit) { l.Per = []string{"model", "user"} }, false},
		{"prompts", func(l *limit.Limit) { l.Per = []string{"user", "similar_prompt"} }, false},
		{"flag", func(l *limit.Limit) { l.Action = limit.Flag }, false},
		{"observe", func(l *limit.Limit) { l.Mode = limit.Observe }, false},
		{"models", func(l *limit.Limit) { l.Match.Models = []string{"*"} }, false},
		{"teams", func(l *limit.Limit) { l.Match.Teams = []string{"red"} }, false},
		{"users", func(l *limit.Limit) { l.Match.Users = []string{"ann"} }, false},
		{"schemes", func(l *limit.Limit) { l.Match.Schemes = []call.Scheme{call.Token} }, false},
	} {
		other := base
		other.Name = "b"
		tt.change(&other)
		if got := limit.Tables(newLimiter(t, noon, base, other)); (len(got) == 1) != tt.share {
			t.Errorf("another %s: tables %v, want shared %t", tt.name, got, tt.share)
		}
	}
	prompts := limit.Limit{Name: "p", Per: []string{"user", "similar_prompt"}, Measure: "requests", Max: 9, Window: minute}
	more := prompts
	more.Name = "q"
	if got := limit.Tables(newLimiter(t, noon, prompts, more)); len(got) != 2 {
		t.Errorf("limits on prompts, each with clusters of its own, share a table: %v", got)
	}
	want := [][]string{{"chat-day"}, {"everyone"}, {"flood"}, {"ip"}, {"models", "requests", "slots", "spend", "tokens"}}
	if got := limit.Tables(newLimiter(t, noon, limit.Shipped...)); !reflect.DeepEqual(got, want) {
		t.Errorf("shipped: got %v, want %v", got, want)
	}
}

// TestRoomOfOthers: a limit that only watches, and one of another team's calls,
// fill up without taking the room of one that refuses.
func TestRoomOfOthers(t *testing.T) {
	const room = 256
	perIP := limit.Limit{Name: "ip", Per: []string{"ip"}, Measure: "requests", Max: 9, Window: minute}
	watch, team := perIP, perIP
	watch.Name, watch.Window, watch.Action = "watch", limit.Month, limit.Flag
	team.Name, team.Window, team.Match.Teams = "team", limit.Month, []string{"red"}
	l, err := limit.New(limit.Options{MaxKeys: room, Start: noon, Limits: []limit.Limit{perIP, watch, team}})
	if err != nil {
		t.Fatal(err)
	}
	flood := func(team string, first int, now time.Time) (admitted int) {
		for i := range 50 * room {
			c := newCall("ann")
			c.Principal.Team, c.IP = team, netip.AddrFrom4([4]byte{10, byte(first), byte(i >> 8), byte(i)})
			if _, ref := l.Reserve(ctx, c, now); ref == nil {
				admitted++
				l.Settle(c, &call.Result{Worked: true}, now)
			}
		}
		return admitted
	}
	for i, tt := range []struct {
		team        string
		least, most int // keys are spread by chance
	}{{"red", room * 3 / 4, room}, {"blue", room, room}, {"red", 0, room / 4}} {
		if got := flood(tt.team, i, noon.Add(time.Duration(i)*2*time.Minute)); got < tt.least || got > tt.most {
			t.Errorf("flood %d: admitted %d addresses of team %s, want %d to %d", i, got, tt.team, tt.least, tt.most)
		}
	}
}

// TestForgottenWhileOpen: a call may last longer than its window. What it held is
// forgotten then, and its memory another's, whose count its end must not change.
func TestForgottenWhileOpen(t *testing.T) {
	l, err := limit.New(limit.Options{MaxKeys: 1, Start: noon, Limits: []limit.Limit{per("models", 8, minute), per("requests", 9, minute)}})
	if err != nil {
		t.Fatal(err)
	}
	reserve := func(name string, now time.Time) (open []*call.Call) {
		for i := range 5000 {
			c := modelCall(fmt.Sprint(name, i))
			if _, ref := l.Reserve(ctx, c, now); ref == nil {
				open = append(open, c)
			}
		}
		return open
	}
	later := noon.Add(5 * time.Minute)
	early, late := reserve("early", noon), reserve("late", later)
	if len(early) < 200 || len(early) != len(late) {
		t.Fatalf("%d early calls, %d late ones: want one in each shard", len(early), len(late))
	}
	for _, c := range early {
		l.Release(c)
	}
	if got := counts(l, later); len(got) != 2*len(late) {
		t.Errorf("%d counts of later calls are left, want %d", len(got), 2*len(late))
	}
}

// TestReplaceInTable: counts outlive limits that come and go beside them, calls
// that are open end in the table of then, and what was told is not told again.
func TestReplaceInTable(t *testing.T) { synctest.Test(t, replaceInTable) }

func replaceInTable(t *testing.T) {
	told := make(chan limit.Alert, 9)
	tokens, models, slots := per("tokens", 1500, minute), per("models", 8, minute), per("concurrency", 5, 0)
	tokens.AlertAt = []int64{10}
	l, err := limit.New(limit.Options{Start: noon, Limits: []limit.Limit{tokens, models}, Alert: func(a limit.Alert) { told <- a }})
	if err != nil {
		t.Fatal(err)
	}
	ended, open := modelCall("ann"), modelCall("ann")
	l.Reserve(ctx, ended, noon)
	l.Settle(ended, &call.Result{Worked: true, Usage: call.Usage{Input: 30}}, noon)
	<-told
	l.Reserve(ctx, open, noon)
	for i, limits := range [][]limit.Limit{{tokens, models, slots}, {models, tokens}, {tokens}, {slots, tokens}} {
		if err := l.Replace(limits); err != nil {
			t.Fatal(err)
		}
		if got := counts(l, noon)["tokens ann"]; got != 1130 {
			t.Errorf("after change %d: %d tokens counted, want 1130", i, got)
		}
	}
	l.Settle(open, &call.Result{Worked: true, Usage: call.Usage{Input: 20}}, noon)
	if got, want := counts(l, noon), (map[string]int64{"tokens ann": 50}); !reflect.DeepEqual(got, want) {
		t.Errorf("settled: got %v, want %v", got, want)
	}
	if synctest.Wait(); len(told) > 0 {
		t.Errorf("told %+v again", <-told)
	}
}

// TestLockOrder: calls that belong to different limits, in whatever order their
// names are, never wait for each other in a ring, and all is counted.
func TestLockOrder(t *testing.T) {
	var limits []limit.Limit
	for i, per := range []string{"user", "everyone", "user", "ip", "everyone", "ip"} {
		l := limit.Limit{Name: fmt.Sprint("l", i), Per: []string{per}, Measure: "requests", Max: 1e6, Window: limit.Day}
		if i%2 == 0 {
			l.Match.Teams = []string{"red", fmt.Sprint("team", i)}
		}
		limits = append(limits, l)
	}
	l := newLimiter(t, noon, limits...)
	const calls = 2000
	var done sync.WaitGroup
	for _, team := range []string{"red", "team0", "team2", "team4"} {
		cs := make([]*call.Call, calls)
		for i := range cs {
			cs[i] = newCall("ann")
			cs[i].Principal.Team = team
		}
		done.Go(func() {
			for _, c := range cs {
				l.Reserve(ctx, c, noon)
				l.Settle(c, &call.Result{Worked: true}, noon)
			}
		})
	}
	done.Wait()
	want := map[string]int64{
		"l0 ann": 2 * calls, "l1 everyone": 4 * calls, "l2 ann": 2 * calls,
		"l3 unknown": 4 * calls, "l4 everyone": 2 * calls, "l5 unknown": 4 * calls,
	}
	if got := counts(l, noon); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
