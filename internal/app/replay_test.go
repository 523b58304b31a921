package app

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/call"
	"gatehouse/internal/config"
	"gatehouse/internal/journal"
	"gatehouse/internal/ledger"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// past is a journal as text, an entry a line: seconds after noon, then
//
//	admit ID USER [TEXT…]     of team red, with a bound of 1000 tokens; text "-" is not recorded
//	result ID OUTPUT          so many tokens, and no input
//	blocked ID                by the guard, before Bedrock was asked
//	refused ID USER REASON [DETAIL…]
//	tally USER REASON COUNT
func past(t *testing.T, script string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	sub := filepath.Join(dir, callsDir)
	if err := os.MkdirAll(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	var now time.Time
	j, _, err := journal.Open(context.Background(), journal.Options{
		Dir: sub, BallastBytes: -1, LowBytes: -1, LowPercent: -1, StopBytes: -1, Now: func() time.Time { return now },
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(script) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		at, err := time.ParseDuration(f[0] + "s")
		if err != nil {
			t.Fatal(err)
		}
		now = noon.Add(at)
		m, body := pastEntry(t, now, f[1:])
		if err := j.Write(m.Kind(), m.AppendMeta(nil), body, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func pastEntry(t *testing.T, now time.Time, f []string) (ledger.Meta, []byte) {
	t.Helper()
	asked := func(text []string) (ledger.Asked, []byte) {
		a := ledger.Asked{
			ID: f[1], Time: now, Operation: "Converse", ModelAsked: "amazon.nova-lite-v1:0", Model: "amazon.nova-lite-v1:0",
			Principal: ledger.Principal{UserID: "id-" + f[2], User: f[2], Team: "red", Key: "GTHK" + f[2], Scheme: "sigv4"},
			IP:        netip.MustParseAddr("192.0.2.1"), MaxTokens: 1000, InputEstimate: 100,
		}
		switch {
		case len(text) == 0:
			return a, nil
		case text[0] == "-":
			a.BodyBytes = 99
			return a, nil
		}
		body := fmt.Appendf(nil, `{"messages":[{"role":"user","content":[{"text":%q}]}],"inferenceConfig":{"maxTokens":1000}}`, strings.Join(text, " "))
		a.BodyBytes = int64(len(body))
		return a, body
	}
	var n int64
	fmt.Sscan(f[len(f)-1], &n)
	switch f[0] {
	case "admit":
		a, body := asked(f[3:])
		return &ledger.Admit{Asked: a}, body
	case "result":
		return &ledger.Result{ID: f[1], Time: now, Outcome: call.OK, Status: 200, Usage: ledger.Usage{Output: n, Exact: true}, Worked: true}, nil
	case "blocked":
		return &ledger.Result{ID: f[1], Time: now, Outcome: call.Blocked, Status: 200}, nil
	case "refused":
		a, _ := asked(nil)
		return &ledger.Refused{Asked: a, Reason: f[3], Detail: strings.Join(f[4:], " ")}, nil
	case "tally":
		return &ledger.Tally{Principal: ledger.Principal{User: f[1]}, Reason: f[2], Count: n, First: now, Last: now}, nil
	}
	t.Fatalf("unknown entry %q", f)
	return nil, nil
}

// off lifts the shipped limit that calls alike in text meet.
const off = `
- {name: flood, per: [user, similar_prompt], measure: requests, max: 100000, window: 60s}`

func TestReplay(t *testing.T) {
	burst := "0 admit a ana\n 0 result a 10\n 1 admit b ana\n 1 result b 10\n 2 admit c ana\n 2 result c 10\n 3 admit d bob\n 3 result d 10\n 70 admit e ana\n 70 result e 10\n"
	for _, tt := range []struct {
		name, past, config string
		from               time.Duration // after noon
		want               string        // a line for each call that fares differently, then the sums
	}{
		{"the same configuration", burst, "limits:" + off, 0, `5 calls`},
		{"a smaller limit", burst, "limits:" + off + `
- {name: requests, per: [user], measure: requests, max: 2, window: 60s}`, 0, `
			12:00:02 ana admitted → rate_limited requests
			5 calls`},
		{"a limit by day", burst, "limits:" + off + `
- {name: few, per: [user], measure: requests, max: 2, window: day}`, 0, `
			12:00:02 ana admitted → quota_exceeded few
			12:01:10 ana admitted → quota_exceeded few
			5 calls`},
		{"windows are as full as they were", burst, "limits:" + off + `
- {name: few, per: [user], measure: requests, max: 2, window: day}`, time.Minute, `
			12:01:10 ana admitted → quota_exceeded few
			1 calls`},
		{"a larger limit", "0 refused a ana rate_limited limit requests is full\n 1 admit b ana\n 1 result b 10\n", "limits:" + off, 0, `
			12:00:00 ana rate_limited → admitted
			note: 1 calls have no recorded text: what goes by texts is not replayed for them
			2 calls`},
		// Worst case 0.000246 USD a call, of which 0.0000024 are used in the end.
		{"money settles", burst, "limits:" + off + `
- {name: spend, per: [user], measure: usd, max: 0.00026, window: day}`, 0, `5 calls`},
		{"money is reserved", "0 admit a ana\n 0 admit b ana\n 1 result a 10\n 1 result b 10\n", "limits:" + off + `
- {name: spend, per: [user], measure: usd, max: 0.00026, window: day}`, 0, `
			12:00:00 ana admitted → quota_exceeded spend
			2 calls`},
		{"another price", burst, "limits:" + off + `
- {name: spend, per: [user], measure: usd, max: 0.00026, window: day}
prices: {"amazon.nova-lite-v1:0": {input: 1, output: 1}}`, 0, `
			12:00:00 ana admitted → quota_exceeded spend
			12:00:01 ana admitted → quota_exceeded spend
			12:00:02 ana admitted → quota_exceeded spend
			12:00:03 bob admitted → quota_exceeded spend
			12:01:10 ana admitted → quota_exceeded spend
			5 calls`},
		{"slots", "0 admit a ana\n 1 admit b ana\n 2 result a 1\n 3 admit c ana\n 4 result b 1\n 5 result c 1\n", "limits:" + off + `
- {name: slots, per: [user], measure: concurrency, max: 1}`, 0, `
			12:00:01 ana admitted → rate_limited slots
			3 calls`},
		{"waiting", burst, "limits:" + off + `
- {name: pair, per: [user], measure: requests, max: 1, window: 2s, action: wait, wait: 5s}`, 0, `
			waiting 2
			5 calls`},
		{"observe", burst, "limits:" + off + `
- {name: few, per: [user], measure: requests, max: 2, window: day, mode: observe}`, 0, `
			observed 2
			5 calls`},
		{"networks", burst, "network: {deny: [192.0.2.0/24]}\nlimits:" + off, 70 * time.Second, `
			12:01:10 ana admitted → network_denied
			1 calls`},
		{"Cedar", burst, "policy: {cedar: [no-bob.cedar]}\nlimits:" + off, 0, `
			12:00:03 bob admitted → policy_denied
			5 calls`},
		{"what a configuration does not decide", `
			0 refused a ana malformed_body
			1 refused b ana model_denied key GTHKana is not for model "x"
			2 tally ana rate_limited 7
			3 tally ana login_refused 1
			4 admit c ana
			5 refused c ana overloaded`, "limits:" + off, 0, `
			not replayed: 7 refused and only counted: rate_limited
			not replayed: 1 refused and only counted: login_refused
			not replayed: 1 refused by its key: model_denied
			not replayed: 1 refused whatever the configuration: malformed_body
			not replayed: 1 refused whatever the configuration: overloaded
			0 calls`},
		{"similar prompts", `
			0 admit a ana how do I bake a cake with 3 eggs and some flour please tell me
			0 result a 1
			1 admit b ana how do I bake a cake with 4 eggs and some flour please tell me
			1 result b 1
			2 admit c ana tell me about the history of the Roman aqueducts in southern France
			2 result c 1
			3 refused d ana rate_limited limit flood`, `limits:
- {name: flood, per: [user, similar_prompt], measure: requests, max: 1, window: 60s}`, 0, `
			12:00:01 ana admitted → rate_limited flood
			12:00:03 ana rate_limited → admitted
			note: 1 calls have no recorded text: what goes by texts is not replayed for them
			4 calls`},
		{"the guard", `
			0 admit a ana please tell me about the harbour
			0 result a 1
			1 admit b ana please tell me about the garden
			1 blocked b
			2 admit c ana please tell me about the garden and the harbour
			2 blocked c
			3 admit d ana -
			3 blocked d`, "guard: {rules: [own.yaml], packs: []}\nlimits:" + off, 0, `
			12:00:00 ana admitted → guard_blocked harbour
			12:00:01 ana guard_blocked → admitted
			not replayed: 1 blocked by the guard, and without a recorded text
			note: 1 calls have no recorded text: what goes by texts is not replayed for them
			3 calls`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := past(t, tt.past)
			got := replayText(t, ReplayOptions{Dir: dir, Config: written(t, tt.config), From: noon.Add(tt.from)})
			if diff := cmp.Diff(strings.TrimSpace(strings.ReplaceAll(tt.want, "\t", "")), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// written is a configuration as a file has it, without the shipped guard unless
// it says something of one.
func written(t *testing.T, text string) *config.Config {
	t.Helper()
	dir := t.TempDir()
	if !strings.Contains(text, "guard:") {
		text = "guard: {packs: []}\n" + text
	}
	for name, text := range map[string]string{
		"own.yaml":     "rules:\n- {name: harbour, action: block, direction: in, match: {keywords: [harbour]}, message: No harbours.}\n",
		"new.yaml":     text,
		"no-bob.cedar": "permit (principal, action, resource);\nforbid (principal, action, resource) when { principal.user == \"bob\" };\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Load(filepath.Join(dir, "new.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// replayText is what a replay says, as text.
func replayText(t *testing.T, o ReplayOptions) string {
	t.Helper()
	var b strings.Builder
	o.Row = func(r ReplayRow) error {
		fmt.Fprintf(&b, "%s %s %s → %s %s", r.Time.Format(time.TimeOnly), r.User, r.Was, r.Now, r.Limit)
		b.WriteString("\n")
		return nil
	}
	sum, err := Replay(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sum.Skipped {
		fmt.Fprintf(&b, "not replayed: %d %s\n", s.Count, s.Why)
	}
	for _, note := range sum.Notes {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	for word, n := range map[string]int64{"waiting": sum.Waiting, "observed": sum.Observed} {
		if n > 0 {
			fmt.Fprintf(&b, "%s %d\n", word, n)
		}
	}
	fmt.Fprintf(&b, "%d calls", sum.Calls)
	if got := sum.NewlyRefused + sum.NewlyAdmitted; got != int64(strings.Count(b.String(), "→")) {
		t.Errorf("the sums tell of %d calls: %s", got, &b)
	}
	return strings.ReplaceAll(b.String(), " \n", "\n")
}

// TestReplayEnds: a replay ends with its context and with who reads its rows.
func TestReplayEnds(t *testing.T) {
	dir := past(t, "0 admit a ana\n 0 result a 1\n")
	o := ReplayOptions{Dir: dir, Config: written(t, "network: {deny: [192.0.2.0/24]}\n")}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Replay(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
	full := errors.New("full")
	o.Row = func(ReplayRow) error { return full }
	if _, err := Replay(context.Background(), o); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("got %v, want the reader's error", err)
	}
}
