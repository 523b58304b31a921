package record

import (
	"net/netip"
	"sync"
	"time"

	"gatehouse/internal/call"
	"gatehouse/internal/ledger"
)

// strangers decides, second by second, what is written of refusals before
// authentication one by one, and sums up the rest.
type strangers struct {
	mu     sync.Mutex
	second int64 // Unix time of the current second
	alone  int   // written one by one in it
	rows   map[rowKey]*ledger.Strangers
	other  *ledger.Strangers // of what found no place in rows
}

type rowKey struct {
	reason string
	prefix netip.Prefix
}

// maxSample bounds the quoted path and user agent of a row, in bytes unquoted.
const maxSample = 128

// stranger records a refusal before authentication.
func (r *Recorder) stranger(c *call.Call, why *call.Refusal) {
	now := r.o.Now()
	if !r.strangers.admit(now, r.o.StrangersPerSecond) {
		r.strangers.count(now, string(why.Reason), c.IP, c.RawPath, c.UserAgent)
		return
	}
	m := ledger.RefusedOf(c, why, r.o.Account, r.o.Region)
	m.BodySHA256, m.OriginalSHA256 = ledger.Sum{}, ledger.Sum{} // of a body nobody vouches for
	r.writeStranger(&m)
}

// strangerEvent records an attempt on an account that did not succeed.
func (r *Recorder) strangerEvent(a *ledger.Account) {
	now := r.o.Now()
	if !r.strangers.admit(now, r.o.StrangersPerSecond) {
		r.strangers.count(now, a.Event+" "+a.Outcome, a.IP, "", "")
		return
	}
	r.writeStranger(a)
}

func (r *Recorder) writeStranger(m ledger.Meta) {
	if r.o.Strangers == nil || r.o.Strangers.Write(m.Kind(), m.AppendMeta(nil), nil, nil) != nil {
		r.dropped.Add(1)
	}
}

// flushStrangers writes the rows and empties the table.
func (r *Recorder) flushStrangers() {
	for _, row := range r.strangers.take() {
		r.writeStranger(row)
	}
}

// admit reports whether one more may be written by itself in this second. A
// clock that steps back starts a new second.
func (s *strangers) admit(now time.Time, perSecond int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sec := now.Unix(); sec != s.second {
		s.second, s.alone = sec, 0
	}
	s.alone++
	return s.alone <= perSecond
}

// count adds one to the row of reason and network.
func (s *strangers) count(now time.Time, reason string, ip netip.Addr, path, agent string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	row := s.row(rowKey{reason, network(ip)})
	if row.Count == 0 {
		row.First, row.Last = now, now
		row.Path, row.Agent = ledger.Quote(path, maxSample), ledger.Quote(agent, maxSample)
	}
	row.Count++
	if now.After(row.Last) {
		row.Last = now
	}
}

// row finds or makes a row; once the table is full, that of all others.
func (s *strangers) row(k rowKey) *ledger.Strangers {
	if row := s.rows[k]; row != nil {
		return row
	}
	if len(s.rows) >= maxRows {
		if s.other == nil {
			s.other = &ledger.Strangers{Reason: "other"}
		}
		return s.other
	}
	if s.rows == nil {
		s.rows = make(map[rowKey]*ledger.Strangers)
	}
	row := &ledger.Strangers{Reason: k.reason, Prefix: k.prefix}
	s.rows[k] = row
	return row
}

// take empties the table.
func (s *strangers) take() []*ledger.Strangers {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*ledger.Strangers
	for _, row := range s.rows {
		out = append(out, row)
	}
	if s.other != nil {
		out = append(out, s.other)
	}
	s.rows, s.other = nil, nil
	return out
}
