package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/admin"
	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/call"
	"gatehouse/internal/config"
	"gatehouse/internal/gateway"
	"gatehouse/internal/gateway/limit"
	"gatehouse/internal/journal"
	"gatehouse/internal/ledger"
)

// ReplayOptions say what Replay replays, and under what.
type ReplayOptions struct {
	Dir      string         // data directory; a server may be writing it
	Config   *config.Config // the limits, policies and networks that are tried
	From, To time.Time      // of the calls that are told; zero: open
	Told     func(admin.Scan)
	Row      func(ReplayRow) error // gets each call that fares differently, in the order in which they ended; an error ends the replay
}

// ReplayRow is a call that fares differently.
type ReplayRow struct {
	Time      time.Time  `json:"time"`
	CallID    string     `json:"call_id"`
	User      string     `json:"user"`
	Team      string     `json:"team"`
	Key       string     `json:"key"`
	Model     string     `json:"model"`
	Operation string     `json:"operation"`
	IP        netip.Addr `json:"ip"`
	Was       string     `json:"was" doc:"admitted, or why it was refused"`
	Now       string     `json:"now"`
	Limit     string     `json:"limit" doc:"or rule of the guard, that refuses, or refused"`
	Detail    string     `json:"detail"`
}

// Replayed sums a replay up.
type Replayed struct {
	From          time.Time       `json:"from,omitzero"`
	To            time.Time       `json:"to,omitzero"`
	Calls         int64           `json:"calls" doc:"replayed"`
	Refused       int64           `json:"refused" doc:"of them, when they were made"`
	WouldRefuse   int64           `json:"would_refuse" doc:"of them, now"`
	NewlyRefused  int64           `json:"newly_refused"`
	NewlyAdmitted int64           `json:"newly_admitted"`
	Waiting       int64           `json:"waiting" doc:"would be admitted after a wait; the limits are taken to have room by then"`
	Observed      int64           `json:"observed" doc:"are admitted, and would not be if everything were enforced"`
	Reasons       []ReplayReason  `json:"reasons" doc:"of the newly refused and newly admitted, the most first"`
	Users         []ReplayUser    `json:"users" doc:"whose calls fare differently, the most first"`
	Skipped       []ReplaySkipped `json:"skipped" doc:"what is not replayed"`
	Notes         []string        `json:"notes" doc:"what is replayed only in part"`
}

// ReplayReason is why calls fare differently.
type ReplayReason struct {
	Was   string `json:"was"`
	Now   string `json:"now"`
	Limit string `json:"limit"`
	Calls int64  `json:"calls"`
}

// ReplayUser is how one user's calls fare.
type ReplayUser struct {
	User          string `json:"user"`
	Team          string `json:"team"`
	NewlyRefused  int64  `json:"newly_refused"`
	NewlyAdmitted int64  `json:"newly_admitted"`
}

// ReplaySkipped counts records that cannot be replayed.
type ReplaySkipped struct {
	Why   string `json:"why"`
	Count int64  `json:"count"`
}

const (
	replayAdmitted = "admitted"
	replayUsers    = 10_000 // that are told apart; those beyond are counted as one
)

// Replay asks what would have become of the calls in the journal under another
// configuration. Each call is judged at the time it was made, and settles with
// what it used when it ended, at the configuration's prices. So that windows
// are as full as they would have been, the replay begins as long before From as
// the longest window is.
//
// A call that was refused and would now be admitted has no end: it ends at
// once, and keeps all that is reserved for it, as an interrupted call does.
func Replay(ctx context.Context, o ReplayOptions) (*Replayed, error) {
	v, err := newReplay(o)
	if err != nil {
		return nil, err
	}
	n := int64(0)
	for e, err := range v.entries() {
		if bad := (*journal.Damage)(nil); errors.As(err, &bad) {
			v.skip("the record is damaged", 1)
			continue
		}
		if err == nil && n%1024 == 0 {
			err = ctx.Err()
			if o.Told != nil {
				o.Told(admin.Scan{Read: n})
			}
		}
		if n++; err == nil && !o.To.IsZero() && e.Time.After(o.To) {
			break
		}
		if err == nil {
			err = v.entry(ctx, &e)
		}
		if err != nil {
			return nil, fmt.Errorf("replay: %w", err)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(v.open)) { // they have no end yet
		if err := v.tell(v.open[id].Call, admitted(), refusedBy(v.open[id].now)); err != nil {
			return nil, fmt.Errorf("replay: %w", err)
		}
	}
	return v.sum(), nil
}

// replayed is a gateway in the time of the journal, without a network. It is
// owned by one goroutine.
type replayed struct {
	o      ReplayOptions
	models *model.Table
	rules  *gateway.Rules
	table  []limit.Limit
	texts  replayTexts
	waits  map[string]time.Duration // how long a call may wait for a limit, by its name
	limits *limit.Limiter           // nil before the first record, whose time it begins at
	open   map[string]*replayCall   // admitted then and not ended, by id

	total   Replayed
	reasons map[ReplayReason]int64
	users   map[[2]string]*ReplayUser
	skipped map[string]int64
}

func newReplay(o ReplayOptions) (*replayed, error) {
	v := &replayed{
		o: o, open: map[string]*replayCall{}, waits: map[string]time.Duration{},
		reasons: map[ReplayReason]int64{}, users: map[[2]string]*ReplayUser{}, skipped: map[string]int64{},
	}
	v.total.From, v.total.To = o.From, o.To
	var err error
	if v.models, err = modelTable(o.Config); err != nil {
		return nil, err
	}
	if v.rules, err = newRules(o.Config, v.models, nil); err != nil {
		return nil, err
	}
	v.table = limitTable(o.Config)
	for i := range v.table { // nobody waits in time that does not pass
		l := &v.table[i]
		if l.Action == limit.Wait {
			v.waits[l.Name], l.Action, l.Wait = l.Wait, limit.Refuse, 0
		}
	}
	if _, err = alone(o.Config, v.table, time.Now()); err != nil {
		return nil, err
	}
	v.texts, err = newReplayTexts(o.Config, v.table)
	return v, err
}

// replayCall is a call that was admitted then, and what it is told now.
type replayCall struct {
	*call.Call
	now   *call.Refusal // nil: admitted
	read  bool          // with its text
	notes []ledger.Note // what was noted then
}

// fate is what became of a call.
type fate struct{ reason, limit, detail string }

func admitted() fate { return fate{reason: replayAdmitted} }

func refusedBy(ref *call.Refusal) fate {
	if ref == nil {
		return admitted()
	}
	return fate{string(ref.Reason), ref.Limit, ref.Detail}
}

// begin is the time of the first record that matters.
func (v *replayed) begin() time.Time {
	begin := v.o.From
	if begin.IsZero() {
		return begin
	}
	for _, l := range v.table {
		from := v.o.From.UTC()
		switch l.Window {
		case limit.Day:
			from = from.Truncate(24 * time.Hour)
		case limit.Month:
			from = time.Date(from.Year(), from.Month(), 1, 0, 0, 0, 0, time.UTC)
		default:
			from = from.Add(-time.Duration(l.Window))
		}
		if from.Before(begin) {
			begin = from
		}
	}
	return begin
}

func (v *replayed) entry(ctx context.Context, e *journal.Entry) error {
	if v.limits == nil {
		var err error
		if v.limits, err = alone(v.o.Config, v.table, e.Time); err != nil {
			return err
		}
	}
	switch e.Kind {
	case ledger.KindAdmit, ledger.KindResult, ledger.KindRefused, ledger.KindTally:
	default:
		return nil
	}
	m, err := ledger.Decode(e.Kind, e.Meta)
	if err != nil {
		return err
	}
	switch m := m.(type) {
	case *ledger.Admit:
		return v.admit(ctx, m, e)
	case *ledger.Result:
		return v.settle(m, e.Time)
	case *ledger.Refused:
		return v.refused(ctx, m, e)
	case *ledger.Tally:
		if v.told(m.Last) && !strings.Contains(m.Reason, " ") { // an event of an account has one
			v.skip("refused and only counted: "+m.Reason, m.Count)
		}
	}
	return nil
}

func (v *replayed) admit(ctx context.Context, m *ledger.Admit, e *journal.Entry) error {
	c := callOf(&m.Asked, v.models)
	defer v.forget(c)
	ref := v.read(c, m, e)
	if ref == nil {
		ref = v.judge(ctx, c, e.Time)
	}
	v.open[c.ID] = &replayCall{c, ref, c.Body != nil, m.Notes}
	return nil
}

// settle ends a call as it ended, at this configuration's prices. Only now is
// known whether the guard let it through then.
func (v *replayed) settle(m *ledger.Result, now time.Time) error {
	c := v.open[m.ID]
	if c == nil {
		return nil
	}
	delete(v.open, m.ID)
	if c.now == nil {
		v.end(c.Call, m, now)
	}
	was := admitted()
	if m.Outcome == call.Blocked && !m.Worked {
		if was = blockedBy(c.notes); !c.read && c.now == nil {
			if v.told(c.Time) {
				v.skip("blocked by the guard, and without a recorded text", 1)
			}
			return nil
		}
	}
	return v.tell(c.Call, was, refusedBy(c.now))
}

// end settles what a call reserved.
func (v *replayed) end(c *call.Call, m *ledger.Result, now time.Time) {
	u := m.Usage
	r := &call.Result{
		Time: m.Time, Outcome: m.Outcome, Status: int(m.Status), Worked: m.Worked,
		Usage: call.Usage{Input: u.Input, Output: u.Output, CacheRead: u.CacheRead, CacheWrite: u.CacheWrite, Write1h: u.Write1h, Images: u.Images, Exact: u.Exact},
	}
	if c.Model.Model != nil {
		r.Cost = c.Model.Cost(u.Input, u.Output, u.CacheRead, u.CacheWrite, u.Write1h) + c.Model.Price.ImageCost(u.Images)
	}
	v.limits.Settle(c, r, now)
}

// decided are the refusals that a configuration decides about, once the call
// is known. All others stay what they were.
var decided = map[string]bool{
	string(call.RateLimited.Reason): true, string(call.QuotaExceeded.Reason): true, string(call.StoreDown.Reason): true,
	string(call.ModelDenied.Reason): true, string(call.OperationDenied.Reason): true, string(call.PolicyDenied.Reason): true,
	string(call.CountryDenied.Reason): true, string(call.NetworkDenied.Reason): true,
}

func (v *replayed) refused(ctx context.Context, m *ledger.Refused, e *journal.Entry) error {
	if c := v.open[m.ID]; c != nil { // its admission had not been durable in time
		v.limits.Release(c.Call)
		delete(v.open, m.ID)
	}
	if why := unplayable(m); why != "" {
		if v.told(m.Time) {
			v.skip(why, 1)
		}
		return nil
	}
	c := callOf(&m.Asked, v.models)
	v.absent(c)
	ref := v.judge(ctx, c, e.Time)
	if ref == nil {
		v.limits.Settle(c, &call.Result{Time: e.Time, Outcome: call.Interrupted, Worked: true, Cost: c.Worst(), Usage: call.Usage{Input: c.InputEstimate, Output: c.OutputBound()}}, e.Time)
	}
	return v.tell(c, fate{m.Reason, m.Limit, m.Detail}, refusedBy(ref))
}

// blockedBy is a prompt that the guard stopped, by the rule that its record
// names, if it does.
func blockedBy(notes []ledger.Note) fate {
	f := fate{reason: string(call.GuardDenied.Reason)}
	for _, n := range notes {
		if n.Stage == "guard" && n.Action == "block" && !n.Observe {
			f.limit, f.detail = n.Name, n.Detail
		}
	}
	return f
}

// unplayable says why a refused call cannot be tried again.
func unplayable(m *ledger.Refused) string {
	switch {
	case !decided[m.Reason]:
		return "refused whatever the configuration: " + m.Reason
	case m.Principal.UserID == "":
		return "refused before the caller was known: " + m.Reason
	case strings.HasPrefix(m.Detail, "key "):
		return "refused by its key: " + m.Reason
	}
	return ""
}

// judge is gateway.serve without what a record does not tell, such as
// credentials.
func (v *replayed) judge(ctx context.Context, c *call.Call, now time.Time) *call.Refusal {
	if ref := v.rules.Policy.Enter(c); ref != nil {
		return ref
	}
	switch {
	case c.Principal == nil || c.Operation == nil:
		return call.Internal.With("the record names no caller, or no operation that is known")
	case c.Operation.Support == bedrock.Full && c.Target.Model != "" && c.Model.Model == nil:
		return call.UnknownModel.With("model " + c.Target.Model)
	case c.Model.Model != nil && !c.Model.Price.Known && c.MaxTokens > 0:
		return call.ModelDenied.With("no price is known")
	}
	if ref := v.rules.Policy.Check(c, now); ref != nil {
		return ref
	}
	_, ref := v.limits.Reserve(ctx, c, now)
	if ref == nil {
		ref = v.inbound(ctx, c, now)
		v.observed(c, ref)
		return ref
	}
	if wait, waits := v.waits[ref.Limit]; waits && ref.RetryAfter <= wait {
		if v.told(c.Time) {
			v.total.Waiting++
		}
		return nil
	}
	return ref
}

// observed counts a call that passes only because something is just observed.
func (v *replayed) observed(c *call.Call, ref *call.Refusal) {
	for _, note := range c.Notes {
		if ref == nil && note.Observe && note.Action != "mask" && v.told(c.Time) {
			v.total.Observed++
			return
		}
	}
}

// told reports whether what happened at t is asked for.
func (v *replayed) told(t time.Time) bool {
	return !t.Before(v.o.From) && (v.o.To.IsZero() || t.Before(v.o.To))
}

func (v *replayed) skip(why string, n int64) { v.skipped[why] += n }

// tell counts what became of a call, and hands it on when that is new.
func (v *replayed) tell(c *call.Call, was, now fate) error {
	if !v.told(c.Time) {
		return nil
	}
	row := ReplayRow{
		Time: c.Time, CallID: c.ID, Model: c.Model.ID, IP: c.IP, Was: was.reason, Now: now.reason,
		Limit: cmp.Or(now.limit, was.limit), Detail: cmp.Or(now.detail, was.detail),
	}
	if c.Operation != nil {
		row.Operation = c.Operation.Name
	}
	if p := c.Principal; p != nil {
		row.User, row.Team, row.Key = p.User, cmp.Or(p.Team, "default"), string(p.Key)
	}
	v.total.Calls++
	if was.reason != replayAdmitted {
		v.total.Refused++
	}
	if now.reason != replayAdmitted {
		v.total.WouldRefuse++
	}
	if (was.reason == replayAdmitted) == (now.reason == replayAdmitted) {
		return nil
	}
	v.count(&row)
	if v.o.Row == nil {
		return nil
	}
	return v.o.Row(row)
}

// count adds a call that fares differently to the sums.
func (v *replayed) count(row *ReplayRow) {
	v.reasons[ReplayReason{Was: row.Was, Now: row.Now, Limit: row.Limit}]++
	who := [2]string{row.User, row.Team}
	if v.users[who] == nil && len(v.users) >= replayUsers {
		who = [2]string{"others", ""}
	}
	u := v.users[who]
	if u == nil {
		u = &ReplayUser{User: who[0], Team: who[1]}
		v.users[who] = u
	}
	if row.Now == replayAdmitted {
		v.total.NewlyAdmitted++
		u.NewlyAdmitted++
	} else {
		v.total.NewlyRefused++
		u.NewlyRefused++
	}
}

// sum ends the replay.
func (v *replayed) sum() *Replayed {
	t := &v.total
	t.Reasons, t.Users, t.Skipped, t.Notes = []ReplayReason{}, []ReplayUser{}, []ReplaySkipped{}, v.notes()
	for r, n := range v.reasons {
		r.Calls = n
		t.Reasons = append(t.Reasons, r)
	}
	slices.SortFunc(t.Reasons, func(a, b ReplayReason) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), strings.Compare(a.Was+a.Now+a.Limit, b.Was+b.Now+b.Limit))
	})
	for _, u := range v.users {
		t.Users = append(t.Users, *u)
	}
	slices.SortFunc(t.Users, func(a, b ReplayUser) int {
		return cmp.Or(cmp.Compare(b.NewlyRefused+b.NewlyAdmitted, a.NewlyRefused+a.NewlyAdmitted), strings.Compare(a.User, b.User))
	})
	for why, n := range v.skipped {
		t.Skipped = append(t.Skipped, ReplaySkipped{why, n})
	}
	slices.SortFunc(t.Skipped, func(a, b ReplaySkipped) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Why, b.Why))
	})
	return t
}
