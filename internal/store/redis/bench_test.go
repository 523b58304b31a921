package redis_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/store"
	"gatehouse/internal/store/redis"
)

// BenchmarkRedisAdmit8 admits and settles calls over eight limits, as the shipped
// table has them.
func BenchmarkRedisAdmit8(b *testing.B) {
	for name, start := range kinds() {
		b.Run(name, func(b *testing.B) { benchmarkAdmit(b, open(b, start(b).addr, time.Minute)) })
	}
}

func benchmarkAdmit(b *testing.B, c *redis.Counts) {
	claims := admit8()
	b.ReportAllocs()
	var n atomic.Int64
	b.RunParallel(func(p *testing.PB) {
		counts := make([]store.Count, len(claims))
		for p.Next() {
			call := fmt.Sprintf("01890000-0000-7000-8000-%012d", n.Add(1))
			if ok, err := c.Take(ctx, call, claims, counts); !ok || err != nil {
				b.Error(ok, err)
			}
			if err := c.Settle(ctx, call, nil); err != nil {
				b.Error(err)
			}
		}
	})
}

func admit8() []store.Claim {
	return []store.Claim{
		{Limit: "chat-day", Key: "ann", Window: store.Day, Max: 1e15, N: 1},
		{Limit: "everyone", Key: "everyone", Window: time.Hour, Max: 50e9, N: 20000, Force: true},
		{Limit: "flood", Key: "ann,0123456789abcdef", Window: time.Minute, Max: 1e9, N: 1},
		{Limit: "ip", Key: "192.0.2.7", Window: time.Minute, Max: 1e9, N: 1},
		{Limit: "models", Key: "ann", Item: "anthropic.claude-3-haiku", Counting: store.Distinct, Window: 10 * time.Minute, Max: 8, N: 1},
		{Limit: "requests", Key: "ann", Window: time.Minute, Max: 1e9, N: 1},
		{Limit: "slots", Key: "ann", Counting: store.Leases, Window: time.Minute, Max: 1e9, N: 1},
		{Limit: "tokens", Key: "ann", Window: time.Minute, Max: 1e15, N: 400},
	}
}
