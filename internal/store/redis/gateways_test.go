package redis_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/call"
	"gatehouse/internal/gateway/limit"
)

// TestGateways has three gateways share one server: a thousand calls at once
// take what there is, and no more, by each way of counting.
func TestGateways(t *testing.T) {
	for name, start := range kinds() {
		t.Run(name, func(t *testing.T) {
			addr := start(t).addr
			var gates [3]*limit.Limiter
			for i := range gates {
				counts := open(t, addr, time.Minute)
				l, err := limit.New(limit.Options{
					Limits: []limit.Limit{
						{Name: "day", Per: []string{"user"}, Measure: "requests", Max: 50, Window: limit.Day},
						{Name: "slots", Per: []string{"team"}, Measure: "concurrency", Max: 20},
					},
					Shared: counts, Replicas: counts.Replicas, StoreTimeout: time.Minute,
				})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { l.Close(ctx) })
				gates[i] = l
			}
			for _, c := range []struct {
				who  call.Principal
				want int64
			}{
				{call.Principal{UserID: "ann", Team: "a"}, 20}, // the slots of a team
				{call.Principal{UserID: "ann", Team: "b"}, 20}, // another team, the same user
				{call.Principal{UserID: "ann", Team: "c"}, 10}, // what is left of the day
				{call.Principal{UserID: "ann", Team: "d"}, 0},
			} {
				if got := admitted(gates[:], c.who); got != c.want {
					t.Errorf("team %s: got %d of a thousand calls admitted, want %d", c.who.Team, got, c.want)
				}
			}
		})
	}
}

func admitted(gates []*limit.Limiter, who call.Principal) int64 {
	var n atomic.Int64
	var calls sync.WaitGroup
	for i := range 1000 {
		calls.Go(func() {
			c := &call.Call{ID: fmt.Sprint(who.Team, i), Principal: &who, IP: netip.MustParseAddr("192.0.2.1")}
			if _, refused := gates[i%len(gates)].Reserve(context.Background(), c, time.Now()); refused == nil {
				n.Add(1)
			}
		})
	}
	calls.Wait()
	return n.Load()
}
