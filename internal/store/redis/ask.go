package redis

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed" // the scripts
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"gatehouse/internal/store"
)

//go:embed common.lua
var common string

//go:embed take.lua
var takeText string

//go:embed settle.lua
var settleText string

//go:embed renew.lua
var renewText string

//go:embed beat.lua
var beatText string

var (
	takeScript   = redis.NewScript(common + takeText)
	settleScript = redis.NewScript(common + settleText)
	renewScript  = redis.NewScript(common + renewText)
	beatScript   = redis.NewScript(common + beatText)
)

const (
	keepOpen   = 86400       // seconds that the record of an open call stays
	keepEnded  = 3600        // and of one that has ended
	maxAmount  = int64(4e15) // common.lua's most
	maxKey     = 200         // bytes of a bucket's key; a longer one goes by its hash
	renewBatch = 256         // calls of one script
)

// Take implements store.Counts.
func (c *Counts) Take(ctx context.Context, call string, claims []store.Claim, counts []store.Count) (bool, error) {
	return c.take(ctx, "take", call, claims, counts)
}

// Extend implements store.Counts. Repeated after an error it may take twice,
// which the call's settling does not give back.
func (c *Counts) Extend(ctx context.Context, call string, claims []store.Claim, counts []store.Count) (bool, error) {
	return c.take(ctx, "extend", call, claims, counts)
}

func (c *Counts) take(ctx context.Context, verb, call string, claims []store.Claim, counts []store.Count) (bool, error) {
	keys := make([]string, 1, 1+len(claims))
	keys[0] = c.base + "call:" + call
	args := make([]any, 3, 3+6*len(claims))
	args[0], args[1], args[2] = call, verb, keepOpen
	for i := range claims {
		k := &claims[i]
		keys = append(keys, c.bucket(k.Counting, k.Window, k.Limit, k.Key))
		args = append(args, kinds[k.Counting], window(k.Counting, k.Window), min(k.Max, maxAmount), amount(k.N), k.Force, k.Item)
	}
	reply, err := c.ask(ctx, takeScript, call, keys, args)
	if err != nil {
		return false, fmt.Errorf("%s: %w", verb, err)
	}
	taken, err := counted(reply, counts[:len(claims)])
	if err != nil {
		c.health.failed(err, time.Now())
		return false, fmt.Errorf("%s: %w: %w", verb, store.ErrDown, err)
	}
	return taken, nil
}

// Settle implements store.Counts.
func (c *Counts) Settle(ctx context.Context, call string, finals []store.Final) error {
	keys := make([]string, 1, 1+len(finals))
	keys[0] = c.base + "call:" + call
	args := make([]any, 2, 2+5*len(finals))
	args[0], args[1] = call, keepEnded
	for i := range finals {
		f := &finals[i]
		keys = append(keys, c.bucket(f.Counting, f.Window, f.Limit, f.Key))
		args = append(args, kinds[f.Counting], window(f.Counting, f.Window), amount(f.N), f.At/1000, f.Item)
	}
	if _, err := c.ask(ctx, settleScript, call, keys, args); err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	return nil
}

// Renew implements store.Counts. An error may leave some of the calls renewed.
func (c *Counts) Renew(ctx context.Context, calls []string) error {
	for len(calls) > 0 {
		n := min(len(calls), renewBatch)
		token := rand.Text()
		keys := make([]string, n)
		args := make([]any, 2, 2+n)
		args[0], args[1] = token, keepOpen
		for i, call := range calls[:n] {
			keys[i] = c.base + "call:" + call
			args = append(args, call)
		}
		if _, err := c.ask(ctx, renewScript, token, keys, args); err != nil {
			return fmt.Errorf("renew: %w", err)
		}
		calls = calls[n:]
	}
	return nil
}

// amount is n within what the scripts count exactly.
func amount(n int64) int64 { return min(max(n, 0), maxAmount) }

var kinds = [...]string{store.Sums: "sums", store.Distinct: "distinct", store.Leases: "leases"}

// window is a window as the scripts have it, in microseconds: of leases how
// long they live, otherwise the width of a slot, rounded up.
func window(k store.Counting, w time.Duration) int64 {
	us := (int64(w) + 999) / 1000
	switch {
	case w < 0:
		return int64(w)
	case k == store.Leases:
		return us
	}
	return (us + 59) / 60
}

// bucket is the key of a bucket. What it is counted by belongs to its name, so
// that gateways that disagree about a limit do not read each other's slots.
func (c *Counts) bucket(k store.Counting, w time.Duration, limit, key string) string {
	if len(key) > maxKey {
		sum := sha256.Sum256([]byte(key))
		key = hex.EncodeToString(sum[:])
	}
	period := ""
	switch w {
	case store.Day:
		period = "day"
	case store.Month:
		period = "month"
	default:
		period = w.String()
	}
	return c.base + kinds[k] + ":" + period + ":" + limit + ":" + key
}

// counted reads what take.lua returns behind the call's id. Nothing is written
// to counts unless all of it makes sense.
func counted(reply []any, counts []store.Count) (taken bool, err error) {
	how, _ := reply[0].(string)
	switch {
	case how != "taken" && how != "refused":
		return false, fmt.Errorf("answer %q is not known", how)
	case len(reply) != 1+5*len(counts):
		return false, fmt.Errorf("answer has %d values for %d claims", len(reply)-1, len(counts))
	}
	numbers := make([]int64, len(reply)-1)
	for i, v := range reply[1:] {
		n, ok := v.(int64)
		if !ok || n < 0 {
			return false, fmt.Errorf("answer holds %T %v", v, v)
		}
		numbers[i] = n
	}
	for i := range counts {
		n := numbers[5*i:]
		counts[i] = store.Count{Used: n[0], Over: n[1] == 1, Wait: microseconds(n[2]), Reset: microseconds(n[3]), At: int64(microseconds(n[4]))}
	}
	return how == "taken", nil
}

func microseconds(n int64) time.Duration {
	return time.Duration(min(n, math.MaxInt64/1000)) * time.Microsecond
}

// ask runs a script within the timeout and returns what it says behind token,
// which tells that the answer is that to this question.
func (c *Counts) ask(ctx context.Context, s *redis.Script, token string, keys []string, args []any) ([]any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !c.health.up.Load() {
		return nil, store.ErrDown
	}
	begun := time.Now()
	reply, err := c.run(ctx, c.client, s, token, keys, args)
	if err == nil || ctx.Err() != nil && time.Since(begun) < c.timeout/2 {
		return reply, err // a caller who leaves early says nothing about the server
	}
	c.health.failed(err, time.Now())
	return nil, fmt.Errorf("%w: %w", store.ErrDown, err)
}

func (c *Counts) run(ctx context.Context, client *redis.Client, s *redis.Script, token string, keys []string, args []any) ([]any, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	reply, err := s.Run(ctx, client, keys, args...).Slice()
	if err != nil {
		return nil, err
	}
	if len(reply) < 2 || reply[0] != token {
		return nil, fmt.Errorf("answer to another question: %s", strconv.Quote(fmt.Sprint(reply[:min(len(reply), 1)]...)))
	}
	return reply[1:], nil
}
