package limit

import (
	"net/http"
	"strconv"
	"time"
)

// Decision is what the limits say to one call: where each bucket that it
// belongs to stands, after what the call took.
type Decision struct {
	Buckets  []Bucket // by name of the limit
	Tightest int      // index of the bucket that refused, or has the smallest part left
}

// Bucket is how one limit stands for one caller.
type Bucket struct {
	Limit     string
	Max       int64
	Used      int64
	Remaining int64         // never negative
	Reset     time.Duration // until Remaining starts to grow; 0 when nothing is used

	rule *rule
}

// Applies reports whether any limit counts the call.
func (d Decision) Applies() bool { return len(d.Buckets) > 0 }

// decide describes claims; refused is the one that refused, or -1.
func decide(claims []claim, refused int) Decision {
	d := Decision{Buckets: make([]Bucket, len(claims)), Tightest: refused}
	for i := range claims {
		c := &claims[i]
		b := &d.Buckets[i]
		*b = Bucket{Limit: c.rule.Name, Max: c.rule.Max, Used: c.used, Remaining: max(0, c.rule.Max-c.used), rule: c.rule}
		if c.used > 0 {
			b.Reset = time.Duration(c.shard.buckets[c.key].frees(c.rule.Window, c.slot, c.used-1) - c.at)
		}
		if c.full {
			b.Remaining, b.Reset = 0, time.Duration(c.frees-c.at)
		}
		if refused < 0 && (d.Tightest < 0 || b.left() < d.Buckets[d.Tightest].left()) {
			d.Tightest = i
		}
	}
	return d
}

// left is the part that remains.
func (b *Bucket) left() float64 { return float64(b.Remaining) / float64(b.Max) }

// SetHeaders writes the decision into the headers of a reply: RateLimit and
// RateLimit-Policy with an item for each bucket, as the httpapi draft has them,
// and X-RateLimit-Limit, -Remaining and -Reset (in seconds) of the tightest.
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
	var stack [512]byte
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
	dst = append(strconv.AppendInt(dst, b.Remaining, 10), ";t="...)
	return strconv.AppendInt(dst, b.resetSeconds(), 10)
}

func (b *Bucket) resetSeconds() int64 { return max(0, ceilSeconds(b.Reset)) }
