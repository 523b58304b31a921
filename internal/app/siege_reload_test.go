package app

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gatehouse/internal/gateway/limit"
)

// The configuration is replaced fifty times, every third time by a bad one,
// while two hundred callers call: no call fails for it, and no count is lost.
func TestReloadUnderLoad(t *testing.T) {
	const callers, each, flips = 200, 5, 50
	g := startGate(t, only())
	write := g.loads(t)
	var quiet strings.Builder
	for i, l := range limit.Shipped {
		fmt.Fprintf(&quiet, "  - {name: %s, per: [user], measure: requests, max: 1, window: %ds, match: {teams: [nobody]}}\n", l.Name, 60+i)
	}
	own := func(window string) string {
		return "  - {name: own, per: [user], measure: requests, max: 100000, window: " + window + "}\n"
	}
	slots := "  - {name: open, per: [user], measure: concurrency, max: 1000}\n"
	files := []string{
		"limits:\n" + quiet.String() + own("1h"),
		"limits:\n" + quiet.String() + own("2h") + slots + "policy: {max_tokens: 99}\n",
		"limits:\n" + quiet.String() + "  - {name: own, per: [nobody]}\npolicy: {max_tokens: -5}\n",
	}
	write(files[0])
	g.fault(t, "slow:delay=20ms")
	var all sync.WaitGroup
	var failed atomic.Int64
	for i := range callers {
		all.Go(func() {
			for n := range each {
				operation := []string{"converse", "converse-stream"}[(i+n)%2]
				resp, err := g.send(g.apiKey("main"), operation, fmt.Sprint("caller ", i, " asks ", n))
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
					failed.Add(1)
				}
				resp.Body.Close()
			}
		})
	}
	for i := range flips {
		bad := i%3 == 2
		write(files[i%3])
		if got := *g.server.data.reloadError.Load(); (got != "") != bad {
			t.Errorf("flip %d: the reload said %q", i, got)
		}
	}
	all.Wait()
	g.settled(t)
	if failed.Load() != 0 || g.calls.Load() != callers*each {
		t.Errorf("%d calls failed, %d reached Bedrock, want 0 and %d", failed.Load(), g.calls.Load(), callers*each)
	}
	if row := g.row("own"); row.Used != callers*each || row.Reserved != 0 {
		t.Errorf("counted %+v, want %d", row, callers*each)
	}
	if row := g.row("open"); row.Used+row.Reserved != 0 || len(g.server.data.limits.Open()) != 0 {
		t.Errorf("slots %+v, %d calls open", row, len(g.server.data.limits.Open()))
	}
}
