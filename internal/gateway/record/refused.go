package record

import (
	"gatehouse/internal/call"
	"gatehouse/internal/ledger"
)

// Refused records a request that was not served. It never waits and never
// fails: what cannot be written is counted.
func (r *Recorder) Refused(c *call.Call, why *call.Refusal) {
	p, now := c.Principal, r.o.Now()
	b, who, perSecond := &r.strangers, "", r.o.StrangersPerSecond
	key := rowKey{reason: string(why.Reason)}
	row := ledger.Tally{Reason: string(why.Reason), Prefix: network(c.IP), Path: c.RawPath, Agent: c.UserAgent}
	if p == nil {
		key.prefix = row.Prefix
	} else {
		b, who, perSecond = &r.callers, p.UserID, r.o.CallerPerSecond
		key.who, row.Principal = who, ledger.PrincipalOf(p)
	}
	if !r.closes(c.ID) && !b.admit(now, who, perSecond) {
		b.count(key, now, row)
		return
	}
	m := ledger.RefusedOf(c, why, r.o.Account, r.o.Region)
	if p == nil || r.Bodies(p.Team) == Off {
		m.BodySHA256, m.OriginalSHA256 = ledger.Sum{}, ledger.Sum{} // nobody vouches for a stranger's body
	}
	if b.write(&m, 1) {
		b.count(key, now, row)
	}
}

// closes reports, once, whether the refusal of a call closes an admit that may
// still become durable. A sum would leave it open.
func (r *Recorder) closes(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	late := r.late[id]
	delete(r.late, id)
	return late
}

// OutcomeOK is the Outcome of an account event that took place.
const OutcomeOK = "ok"

// Event records something about an account or key. Time is filled in when
// zero. It is durable when Event returns nil, but for what can be repeated at
// will, which is bounded and queued only: what did not take place and was
// nobody's doing that we know, a failed login say, is treated like the refusal
// of a stranger; and of what somebody with an address and no Actor did to one
// subject, as logins are, the second and further of one second are summed up.
func (r *Recorder) Event(a ledger.Account) error {
	if a.Time.IsZero() {
		a.Time = r.o.Now()
	}
	a = a.Bounded()
	row := ledger.Tally{Reason: a.Event + " " + a.Outcome, Prefix: network(a.IP)}
	switch {
	case a.Actor == "" && a.Outcome != OutcomeOK:
		r.attempt(&a, row)
		return nil
	case a.Actor == "" && a.IP.IsValid() && !r.callers.admit(r.o.Now(), row.Reason+" "+a.Subject, 1):
		row.Principal.User = a.Subject
		r.callers.count(rowKey{reason: row.Reason, who: a.Subject}, a.Time, row)
		return nil
	}
	return r.o.Journal.Append(ledger.KindAccount, a.AppendMeta(nil), nil, nil)
}

// attempt records what a stranger did not achieve.
func (r *Recorder) attempt(a *ledger.Account, row ledger.Tally) {
	if !r.strangers.admit(r.o.Now(), "", r.o.StrangersPerSecond) || r.strangers.write(a, 1) {
		r.strangers.count(rowKey{reason: row.Reason, prefix: row.Prefix}, a.Time, row)
	}
}
