package app

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/admin"
	"gatehouse/internal/call"
	"gatehouse/internal/config"
)

// roomy lifts the shipped limits so far that a test meets none.
func roomy(g *gate) {
	g.config.Limits = append(g.config.Limits,
		config.Limit{Name: "flood", Per: []string{"user", "similar_prompt"}, Measure: "requests", Max: "1000000", Window: "60s", Action: "refuse"},
		config.Limit{Name: "ip", Per: []string{"ip"}, Measure: "requests", Max: "1000000", Window: "60s", Action: "refuse"},
		config.Limit{Name: "tokens", Per: []string{"user"}, Measure: "tokens", Max: "1000000000", Window: "60s", Action: "refuse"})
}

// TestAuditWhileCallsRun: the counters are what the journal says at every
// moment, also while calls begin, stream and end, and after a restart.
func TestAuditWhileCallsRun(t *testing.T) {
	g := startGate(t, roomy)
	var wg sync.WaitGroup
	done := make(chan struct{})
	for i := range 8 {
		wg.Go(func() {
			operation := []string{"converse", "converse-stream"}[i%2]
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				resp, err := g.send(g.apiKey("main"), operation, fmt.Sprintf("worker %d asks %d", i, n))
				if err != nil {
					t.Error(err)
					return
				}
				if n%7 != 3 { // some leave in the middle
					io.Copy(io.Discard, resp.Body)
				}
				resp.Body.Close()
			}
		})
	}
	open := 0
	for range 10 {
		a := g.audit(t)
		open += a.Open
		if !a.Equal || len(a.Notes) > 0 {
			t.Errorf("under load: %+v", a)
		}
	}
	close(done)
	wg.Wait()
	if open == 0 {
		t.Error("no audit saw a call under way")
	}
	g.settled(t)
	if a := g.audit(t); !a.Equal || a.Open != 0 || a.Records < 20 || a.Counters < 5 {
		t.Errorf("at rest: %+v", a)
	}
	g.stop()
	g.start(t)
	if a := g.audit(t); !a.Equal || a.Counters < 5 {
		t.Errorf("after a restart: %+v", a)
	}
}

// settled waits until no call is under way.
func (g *gate) settled(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); g.server.gateway.Live() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("calls do not end")
		}
	}
}

func (g *gate) audit(t *testing.T) admin.LimitAudit {
	t.Helper()
	a, err := g.server.data.AuditLimits(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestAuditFindsWrongCounters: a counter that lost or gained something is told,
// with both numbers, and no other is.
func TestAuditFindsWrongCounters(t *testing.T) {
	g := startGate(t, roomy)
	for i := range 3 {
		g.converse(t, g.apiKey("main"), "converse", fmt.Sprint("prompt ", i))
	}
	g.settled(t)
	limits := g.server.data.limits
	var user string
	for _, row := range limits.Status(time.Now()) {
		if row.Limit == "requests" {
			user = row.Key
		}
	}
	// As if a call had been counted that the journal does not know.
	amounts := []call.Amount{{Limit: "requests", Key: user, N: 2, At: time.Now().UnixNano()}}
	limits.ReplayAdmit("planted", amounts)
	limits.ReplayResult("planted", amounts)
	a := g.audit(t)
	want := admin.LimitDifference{Limit: "requests", Per: "user", Key: user, Measure: "requests", Used: 5, Recomputed: 3}
	if a.Equal || len(a.Differences) != 1 || a.Differences[0] != want {
		t.Errorf("gained: %+v, want %+v", a, want)
	}
	// As if one had not been counted: a result of the journal says so.
	limits.ReplayAdmit("planted", []call.Amount{{Limit: "requests", Key: "nobody", N: 1, At: time.Now().UnixNano()}})
	limits.ReplayResult("planted", []call.Amount{{Limit: "requests", Key: "nobody", N: 1}})
	if a := g.audit(t); len(a.Differences) != 2 || !strings.Contains(fmt.Sprint(a.Differences), "{requests user nobody requests 1 0}") {
		t.Errorf("a counter that the journal has not: %+v", a)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := g.server.data.AuditLimits(ctx, nil); err == nil {
		t.Error("a cancelled audit has an answer")
	}
}

// TestCountsOutliveCommands: a command that opens the data directory between
// two runs of the server knows only the shipped limits, and costs the
// configured ones no count.
func TestCountsOutliveCommands(t *testing.T) {
	g := startGate(t, roomy, func(g *gate) {
		g.config.Limits = append(g.config.Limits, config.Limit{Name: "own", Per: []string{"team"}, Measure: "requests", Max: "100", Window: "day", Action: "refuse"})
	})
	for i := range 3 {
		g.converse(t, g.apiKey("main"), "converse", fmt.Sprint("prompt ", i))
	}
	g.settled(t)
	g.stop()
	d, err := OpenData(context.Background(), g.dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.AddUser(context.Background(), admin.NewUser{Name: "new"}); err != nil { // written to the journal
		t.Error(err)
	}
	if a, err := d.AuditLimits(context.Background(), nil); err != nil || !a.Equal || len(a.Notes) != 1 {
		t.Errorf("offline: %+v, %v, want equal, with a note", a, err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	g.start(t)
	if a := g.audit(t); !a.Equal {
		t.Errorf("after the command: %+v", a)
	}
	for _, row := range g.server.data.limits.Status(time.Now()) {
		if row.Limit == "own" && row.Used == 3 {
			return
		}
	}
	t.Errorf("limit own does not count 3: %+v", g.server.data.limits.Status(time.Now()))
}
