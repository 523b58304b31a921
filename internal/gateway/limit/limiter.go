package limit

import (
	"context"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/call"
)

// Options are what a Limiter is made of.
type Options struct {
	Limits  []Limit
	MaxKeys int       // buckets a limit keeps, about; 0: a million
	Start   time.Time // when this process began; zero: now
}

// Limiter holds the limits, their counts, and the reservations of open calls.
// It is safe for concurrent use.
type Limiter struct {
	maxKeys int
	start   time.Time

	// mu is held for reading while counts or reservations change, and for
	// writing while they must stand still together.
	mu    sync.RWMutex
	rules []*rule // by name, which is the order of locking
	seed  maphash.Seed
	open  [shardCount]openCalls

	snapshotSize int // of the last one
}

// openCalls are what the limits hold for calls that have not ended, by id.
type openCalls struct {
	mu    sync.Mutex
	calls map[string][]call.Amount
}

// New returns a Limiter, or all that is wrong with the limits.
func New(o Options) (*Limiter, error) {
	l := &Limiter{maxKeys: o.MaxKeys, start: o.Start, seed: maphash.MakeSeed()}
	if l.maxKeys <= 0 {
		l.maxKeys = 1 << 20
	}
	if l.start.IsZero() {
		l.start = time.Now()
	}
	var err error
	l.rules, err = compile(o.Limits, l.maxKeys)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// at is the moment now as a window counts it: the calendar follows the clock,
// sliding windows follow the time that has passed since the start.
func (l *Limiter) at(w Window, now time.Time) int64 {
	if w < 0 {
		return now.UnixNano()
	}
	return l.start.UnixNano() + int64(now.Sub(l.start))
}

// claim is one bucket's part in a reservation.
type claim struct {
	rule  *rule
	key   string
	n     int64
	at    int64
	shard *shard
	slot  int64 // the present slot of the bucket
	used  int64 // in the window that ends there
	frees int64 // when refused, the moment from which n would fit; otherwise 0
	full  bool  // refused for want of room for the key
}

// Reserve takes what c may come to from every bucket it belongs to, or nothing
// from any. now must be the present time: counting at an earlier one would let
// a caller who sends a head early and the body late slip between windows.
// Reserve sets c.Amounts. A second Reserve of an open call takes nothing more.
func (l *Limiter) Reserve(ctx context.Context, c *call.Call, now time.Time) (Decision, *call.Refusal) {
	if c.Principal == nil {
		return Decision{}, call.Internal.With("limit: call has no principal")
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	o := l.opened(c.ID)
	o.mu.Lock()
	defer o.mu.Unlock()

	var stack [8]claim
	claims := l.claims(stack[:0], c, now)
	lock(claims)
	defer unlock(claims)
	held, again := o.calls[c.ID]
	if again {
		claims = look(claims, 0)
	} else {
		claims = look(claims, 1)
		if i := worst(claims); i >= 0 {
			return decide(claims, i), claims[i].refusal()
		}
		held = take(claims)
		o.hold(c.ID, held)
	}
	c.Amounts = held
	return decide(claims, -1), nil
}

// claims lists the buckets of c, in the order in which they are locked.
func (l *Limiter) claims(claims []claim, c *call.Call, now time.Time) []claim {
	for _, r := range l.rules {
		key := r.key(c)
		if key == "" {
			continue
		}
		claims = append(claims, claim{rule: r, key: key, n: r.measure.ask(c), at: l.at(r.Window, now), shard: r.counts.shard(key)})
	}
	return claims
}

func lock(claims []claim) {
	for i := range claims {
		claims[i].shard.mu.Lock()
	}
}

func unlock(claims []claim) {
	for i := range claims {
		claims[i].shard.mu.Unlock()
	}
}

// look reads the buckets and finds which would refuse times n more.
func look(claims []claim, times int64) []claim {
	for i := range claims {
		c := &claims[i]
		c.n *= times
		w := c.rule.Window
		b := c.shard.buckets[c.key]
		if b == nil {
			b = new(bucket)
			if times > 0 {
				c.full, c.frees = c.shard.full(w, c.at)
			}
		}
		c.slot = b.now(w, c.at)
		c.used = b.used(w, c.slot)
		if c.used+c.n > c.rule.Max {
			c.frees = b.frees(w, c.slot, c.rule.Max-c.n)
		}
	}
	return claims
}

// worst returns the refusing claim that takes longest to fit, or -1.
func worst(claims []claim) int {
	found, longest := -1, int64(0)
	for i := range claims {
		c := &claims[i]
		if c.frees == 0 {
			continue
		}
		if wait := c.frees - c.at; found < 0 || wait > longest {
			found, longest = i, wait
		}
	}
	return found
}

// take counts all claims and returns them as amounts.
func take(claims []claim) []call.Amount {
	amounts := make([]call.Amount, len(claims))
	for i := range claims {
		c := &claims[i]
		w := c.rule.Window
		c.shard.use(c.key).add(w, c.slot, c.n)
		c.used += c.n
		at := c.at
		if w.index(at) != c.slot {
			at = w.moment(c.slot) // where it was counted
		}
		amounts[i] = call.Amount{Limit: c.rule.Name, Key: c.key, N: c.n, At: at}
	}
	return amounts
}

// refusal tells the caller when to come back, and the operator why.
func (c *claim) refusal() *call.Refusal {
	base := call.RateLimited
	if c.rule.quota && !c.full {
		base = call.QuotaExceeded
	}
	r := base.After(max(time.Duration(c.frees-c.at), time.Second))
	r.Limit = c.rule.Name
	r.Detail = "limit " + c.rule.Name + " of " + c.key
	if c.full {
		r.Detail = "limit " + c.rule.Name + " has no room for another key"
	}
	return r
}

// opened returns the part of the open calls that id belongs to.
func (l *Limiter) opened(id string) *openCalls {
	return &l.open[maphash.String(l.seed, id)%shardCount]
}

func (o *openCalls) hold(id string, amounts []call.Amount) {
	if o.calls == nil {
		o.calls = make(map[string][]call.Amount)
	}
	o.calls[id] = amounts
}

// eachOpen calls f with what is held for every open call. f must not keep it.
func (l *Limiter) eachOpen(f func(id string, held []call.Amount)) {
	for i := range l.open {
		o := &l.open[i]
		o.mu.Lock()
		for id, held := range o.calls {
			f(id, held)
		}
		o.mu.Unlock()
	}
}

// end closes a call and returns what was held for it.
func (l *Limiter) end(id string) (held []call.Amount, ok bool) {
	o := l.opened(id)
	o.mu.Lock()
	defer o.mu.Unlock()
	held, ok = o.calls[id]
	delete(o.calls, id)
	return held, ok
}

// Settle makes the reservation of c what the call came to, and sets r.Settled.
// For a call that is not open it does nothing. A request that did no work goes
// back to the calendar's windows only. The time is for measures that charge
// afterwards; counts of requests stay where they were taken.
func (l *Limiter) Settle(c *call.Call, r *call.Result, _ time.Time) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	held, ok := l.end(c.ID)
	if !ok {
		return
	}
	r.Settled = make([]call.Amount, 0, len(held))
	for _, a := range held {
		final := a
		if rule := l.rule(a.Limit); rule != nil {
			final.N = rule.measure.settle(a.N, rule.Window, r)
			rule.counts.adjust(a.Key, a.At, final.N-a.N)
		}
		if final.N != 0 {
			r.Settled = append(r.Settled, final)
		}
	}
}

// Release gives back all that is held for c, in every window: it was not
// admitted after all, and nothing was sent.
func (l *Limiter) Release(c *call.Call) {
	l.ReplayResult(c.ID, nil)
}

func (l *Limiter) rule(name string) *rule {
	i, ok := slices.BinarySearchFunc(l.rules, name, func(r *rule, name string) int { return strings.Compare(r.Name, name) })
	if !ok {
		return nil
	}
	return l.rules[i]
}

// Replace puts other limits in force. A limit that keeps its name, measure and
// what it is per keeps its counts, also with another window; calls that are
// open keep their reservations. On an error nothing changes.
func (l *Limiter) Replace(limits []Limit) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	rules, err := compile(limits, l.maxKeys)
	if err != nil {
		return err
	}
	for _, r := range rules {
		if old := l.rule(r.Name); old != nil && old.Measure == r.Measure && slices.Equal(old.Per, r.Per) {
			r.inherit(old)
		}
	}
	l.rules = rules
	return nil
}

func (r *rule) inherit(old *rule) {
	if r.Window == old.Window {
		r.counts = old.counts
		return
	}
	old.counts.each(func(b *bucket) {
		for _, s := range b.slots {
			r.counts.adjust(b.key, old.Window.moment(s.index), s.n)
		}
	})
}

// Row is the state of one bucket. Remaining is Max less Used and Reserved.
type Row struct {
	Limit    string    `json:"limit"`
	Per      []string  `json:"per"`
	Key      string    `json:"key"` // the values of Per, escaped and joined by ","
	Max      int64     `json:"max"`
	Used     int64     `json:"used"`     // by calls that have ended
	Reserved int64     `json:"reserved"` // by calls that are open
	Debt     int64     `json:"debt"`     // by how much both are beyond Max
	ResetsAt time.Time `json:"resets_at"`
}

// Status lists the buckets that hold something, by limit and key.
func (l *Limiter) Status(now time.Time) []Row {
	l.mu.RLock()
	defer l.mu.RUnlock()
	reserved := make(map[[2]string]int64)
	l.eachOpen(func(_ string, amounts []call.Amount) {
		for _, a := range amounts {
			reserved[[2]string{a.Limit, a.Key}] += a.N
		}
	})
	rows := []Row{}
	for _, r := range l.rules {
		at := l.at(r.Window, now)
		r.counts.each(func(b *bucket) {
			s := b.now(r.Window, at)
			used := b.used(r.Window, s)
			if used == 0 {
				return
			}
			held := min(used, reserved[[2]string{r.Name, b.key}])
			rows = append(rows, Row{
				Limit: r.Name, Per: r.Per, Key: b.key, Max: r.Max, Used: used - held, Reserved: held, Debt: max(0, used-r.Max),
				ResetsAt: now.Add(time.Duration(b.frees(r.Window, s, 0) - at)).UTC(),
			})
		})
	}
	slices.SortFunc(rows, func(a, b Row) int {
		if c := strings.Compare(a.Limit, b.Limit); c != 0 {
			return c
		}
		return strings.Compare(a.Key, b.Key)
	})
	return rows
}
