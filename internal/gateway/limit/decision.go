package limit

import (
	"net/http"
	"strconv"
	"time"
)

// Decision is what the limits say to one call: where each bucket that it
// belongs to stands, after what the call took. Limits that only flag or observe
// are not in it, since callers are told what is.
type Decision struct {
	Buckets  []Bucket // by name of the limit
	Tightest int      // index of the bucket that refused, or has the smallest part left

	held *reservation
}

// Bucket is how one limit stands for one caller.
type Bucket struct {
	Limit     string
	Max       int64
	Used      int64
	Remaining int64         // never negative
	Reset     time.Duration // until Remaining starts to grow; 0 when nothing is used, and for concurrency

	rule *rule
}

// Applies reports whether any limit counts the call.
func (d Decision) Applies() bool { return len(d.Buckets) > 0 }

// Free says that neither d, the call's Amounts nor its result's Settled are used
// any more, so that their memory can serve another call. Calling it is a saving,
// not a duty; of a call that is open it frees nothing. A copy of d must not be
// freed too.
func (d *Decision) Free() {
	if d.held != nil {
		d.held.free()
	}
	*d = Decision{}
}

// decide describes the last attempt.
func (r *reservation) decide() Decision {
	d := Decision{Tightest: -1, held: r}
	if r.down != nil {
		return d // nobody knows
	}
	for i := range r.claims {
		c := &r.claims[i]
		if c.rule.soft {
			continue
		}
		b := grow(&r.buckets)
		b.Limit, b.Max, b.Used, b.Remaining, b.Reset, b.rule = c.rule.Name, c.rule.Max, c.used, max(0, c.rule.Max-c.used), c.reset, c.rule
		if c.full {
			b.Remaining, b.Reset = 0, c.wait
		}
		if c.rule.lease() {
			b.Reset = 0
		}
		last := len(r.buckets) - 1
		if i == r.refused || r.refused < 0 && (d.Tightest < 0 || b.tighter(&r.buckets[d.Tightest])) {
			d.Tightest = last
		}
	}
	d.Buckets, d.Tightest = r.buckets, max(0, d.Tightest)
	return d
}

// tighter reports whether b tells a client more than o of how fast it may go:
// requests are what clients pace by, then what has the smaller part left.
func (b *Bucket) tighter(o *Bucket) bool {
	if mine, others := b.rule.Measure == "requests", o.rule.Measure == "requests"; mine != others {
		return mine
	}
	return b.left() < o.left()
}

// left is the part that remains.
func (b *Bucket) left() float64 { return float64(b.Remaining) / float64(b.Max) }

// SetHeaders writes the decision into the headers of a reply: RateLimit and
// RateLimit-Policy with an item for each bucket, as the httpapi draft has them,
// and X-RateLimit-Limit, -Remaining and -Reset (in seconds) of the one that refused, or
// of the tightest limit on requests.
//
//	RateLimit: "chat-day";r=49;t=3600, "requests";r=99;t=61
//	RateLimit-Policy: "chat-day";q=50;w=86400, "requests";q=100;w=60
//
// It does nothing when no limit applies.
func (d Decision) SetHeaders(h http.Header) {
	if !d.Applies() {
		return
	}
	// One text and one slice carry all values.
	var stack [1024]byte
	b := stack[:0]
	for i := range d.Buckets {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = d.Buckets[i].appendState(b)
	}
	state := len(b)
	for i := range d.Buckets {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, d.Buckets[i].rule.policy...)
	}
	policy := len(b)
	t := &d.Buckets[d.Tightest]
	b = strconv.AppendInt(b, t.Max, 10)
	limit := len(b)
	b = strconv.AppendInt(b, t.Remaining, 10)
	remaining := len(b)
	b = strconv.AppendInt(b, t.resetSeconds(), 10)

	text := string(b)
	values := &[...]string{text[:state], text[state:policy], text[policy:limit], text[limit:remaining], text[remaining:]}
	h["Ratelimit"] = values[0:1:1]
	h["Ratelimit-Policy"] = values[1:2:2]
	h["X-Ratelimit-Limit"] = values[2:3:3]
	h["X-Ratelimit-Remaining"] = values[3:4:4]
	h["X-Ratelimit-Reset"] = values[4:5:5]
}

func (b *Bucket) appendState(dst []byte) []byte {
	dst = append(append(dst, b.rule.quoted...), ";r="...)
	dst = strconv.AppendInt(dst, b.Remaining, 10)
	if b.rule.lease() {
		return dst // nobody knows when
	}
	dst = append(dst, ";t="...)
	return strconv.AppendInt(dst, b.resetSeconds(), 10)
}

func (b *Bucket) resetSeconds() int64 { return max(0, ceilSeconds(b.Reset)) }
