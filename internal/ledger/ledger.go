// Package ledger is the one codec of what the gateway writes into its
// journals, and renders those records in AWS's own shapes.
//
// A call leaves these entries in the main journal:
//
//	Admit    before the upstream call is sent, durable; body: the request
//	Part     none or more; body: raw event-stream frames, in order
//	Result   how it ended; body: the answer, or the frames not yet in parts
//
// or a single Refused. A Refused after an Admit of the same call closes it: the
// admission was not durable in time and nothing was sent. Account entries tell
// of accounts and keys.
//
// Whoever is refused can be refused as often as they like, so only the first
// Refused of each second are written one by one: of each caller, and of all
// strangers, who never proved who they are. Tally entries sum up the rest once
// a second, by reason and by caller or network. Those of strangers, and their
// Refused, live in a small capped journal of their own. AWS's shapes have no
// record for a sum: an export has no line for a Tally, while the sum of its
// counts and of the Refused entries is every refusal.
//
// The journal knows none of this: to it an entry is a kind, a meta and a body.
// Metas are JSON objects. They are appended by hand, since an Admit is written
// on every call, and decoded by the strict decoder of json/v2 from the struct
// tags, which a test holds equal to what is appended: wrong types, repeated
// keys, other letter case and invalid UTF-8 are errors. Unknown keys are
// skipped, so that an older binary reads a newer journal. A member with its
// zero value is left out.
//
// A body stands in its entry as it was, or with secrets masked, or sealed under
// a key, or both; [Stored] tells which. Masking an answer that was streamed needs
// all of it: then its parts have no bodies, and that of the result is the whole
// answer. A sealed body opens for its own entry only, see [SealContext].
//
// From entries to AWS's records: a [Joiner] puts the entries of a call together
// into a [Record], whose methods Invocation and CloudTrail render it; [Export]
// does all of it for a whole journal. [Open] finds what a crash left open.
package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"gatehouse/internal/call"
	"gatehouse/internal/journal"
	"gatehouse/internal/seal"
)

// The kinds of entries. The numbers are in every journal ever written; 1 is
// [journal.KindSnapshot].
const (
	KindAdmit   journal.Kind = 2
	KindPart    journal.Kind = 3
	KindResult  journal.Kind = 4
	KindRefused journal.Kind = 5
	KindTally   journal.Kind = 6 // those of old journals are all of strangers
	KindAccount journal.Kind = 7
)

// Bounds of a meta that is decoded, and of what is put into one.
const (
	MaxMeta    = 1 << 20 // bytes
	maxAmounts = 1024
	maxNotes   = 64 // of one call; what is beyond is left out
	maxID      = 64
	maxAgent   = 1024 // bytes of user agent; CloudTrail's bound
	maxText    = 1024 // bytes of messages and details; likewise
	maxName    = 256  // bytes of host, content type, limit, names of people
	maxModel   = 2048 // bytes of a model id or path
	maxLabels  = 8500 // bytes of request metadata in a header; Bedrock's bound
)

// Meta is the meta of one entry: *[Admit], *[Part], *[Result], *[Refused],
// *[Tally] or *[Account].
type Meta interface {
	// AppendMeta appends the meta as JSON. It allocates only to grow dst.
	AppendMeta(dst []byte) []byte
	// Kind is the kind of the entry it is the meta of.
	Kind() journal.Kind
	check() error
}

// Asked is what is known of a call from its request. In a Refused anything
// after Time may be missing, in an Admit only what the call has not got.
type Asked struct {
	ID             string     `json:"id"`
	RequestID      string     `json:"request_id,omitzero"` // ours; AWS's is in the Result
	Time           time.Time  `json:"time"`
	Operation      string     `json:"operation,omitzero"`
	ModelAsked     string     `json:"model_asked,omitzero"`
	Model          string     `json:"model,omitzero"` // normalised
	Account        string     `json:"account,omitzero"`
	Region         string     `json:"region,omitzero"` // the region that was called
	Principal      Principal  `json:"principal,omitzero"`
	IP             netip.Addr `json:"ip,omitzero"`
	UserAgent      string     `json:"user_agent,omitzero"`
	Host           string     `json:"host,omitzero"`
	Proto          string     `json:"proto,omitzero"`
	TLS            string     `json:"tls,omitzero"`
	TLSCipher      string     `json:"tls_cipher,omitzero"`
	SDKInvocation  string     `json:"sdk_invocation,omitzero"`
	ContentType    string     `json:"content_type,omitzero"`
	Accept         string     `json:"accept,omitzero"`
	Guardrail      string     `json:"guardrail,omitzero"`        // "id:version"
	Metadata       string     `json:"request_metadata,omitzero"` // the caller's labels, as JSON, where a header has them
	BodyBytes      int64      `json:"body_bytes,omitzero"`
	BodySHA256     Sum        `json:"body_sha256,omitzero"`     // as forwarded
	OriginalSHA256 Sum        `json:"original_sha256,omitzero"` // as sent, where that differs
	MaxTokens      int64      `json:"max_tokens,omitzero"`
	InputEstimate  int64      `json:"input_estimate,omitzero"`
	Answers        int64      `json:"answers,omitzero"` // asked for, where more than one
	Images         int64      `json:"images,omitzero"`
	Country        string     `json:"country,omitzero"`
	Amounts        Amounts    `json:"amounts,omitzero"`
	Notes          []Note     `json:"notes,omitzero"`
}

// Note is what a stage noticed and let pass, as call.Note.
type Note struct {
	Stage   string `json:"stage"`
	Name    string `json:"name"`
	Action  string `json:"action"`
	Observe bool   `json:"observe,omitzero"`
	Detail  string `json:"detail,omitzero"`
}

// Principal is the caller, by name and by credential; never a secret.
type Principal struct {
	UserID string `json:"user_id,omitzero"`
	User   string `json:"user,omitzero"`
	Team   string `json:"team,omitzero"`
	Key    string `json:"key,omitzero"`
	Scheme string `json:"scheme,omitzero"` // as call.Scheme prints
}

// ARN names the principal in account, as call.Principal does.
func (p *Principal) ARN(account string) string {
	return (&call.Principal{User: p.User, Team: p.Team}).ARN(account)
}

// Admit is a call that passed every stage and is about to be sent.
type Admit struct {
	Asked
	Stored
}

// Stored tells how an entry's body was put down, where not as it was. Hashes
// and lengths in metas are of what was, those of the journal of what stands there.
type Stored struct {
	Redacted bool    `json:"redacted,omitzero"` // secrets are masked; in a result it is the whole answer, parts and all
	Sealed   seal.ID `json:"sealed,omitzero"`   // the key that it is encrypted under
}

// SealContext appends what ties a sealed body to its entry: the kind, the call,
// and, of a part, which one.
func SealContext(dst []byte, kind journal.Kind, id string, index int64) []byte {
	dst = append(append(dst, "gatehouse body "...), byte(kind))
	return append(binary.BigEndian.AppendUint64(dst, uint64(index)), id...)
}

// Part is a piece of a streamed answer; its body is whole event-stream frames.
type Part struct {
	ID     string `json:"id"`
	Index  int64  `json:"index,omitzero"`  // 0, 1, …
	Bytes  int64  `json:"bytes,omitzero"`  // the length of the frames, recorded or not
	SHA256 Sum    `json:"sha256,omitzero"` // of the frames, where they are not recorded here
	Stored
}

// Result is how an admitted call ended.
type Result struct {
	ID          string       `json:"id"`
	RequestID   string       `json:"request_id,omitzero"` // AWS's, or ours when AWS gave none
	Time        time.Time    `json:"time"`
	Outcome     call.Outcome `json:"outcome"`
	Status      int64        `json:"status,omitzero"`
	ErrorType   string       `json:"error_type,omitzero"`
	Message     string       `json:"message,omitzero"`
	Region      string       `json:"region,omitzero"` // where it was sent
	Usage       Usage        `json:"usage,omitzero"`
	Cost        int64        `json:"cost,omitzero"`       // nano-USD
	Latency     int64        `json:"latency_ns,omitzero"` // from admit to the last byte
	FirstByte   int64        `json:"first_byte_ns,omitzero"`
	ContentType string       `json:"content_type,omitzero"`
	Stream      bool         `json:"stream,omitzero"`
	Worked      bool         `json:"worked,omitzero"`     // upstream did, or may have done, work
	Parts       int64        `json:"parts,omitzero"`      // how many Part entries came before
	BodyBytes   int64        `json:"body_bytes,omitzero"` // of the whole answer, parts and all
	SHA256      Sum          `json:"sha256,omitzero"`     // of this entry's share, where that is not recorded as it was
	Settled     Amounts      `json:"settled,omitzero"`
	Notes       []Note       `json:"notes,omitzero"` // about the answer
	Stored
}

// Usage is call.Usage with every member left out when zero.
type Usage struct {
	Input      int64 `json:"input,omitzero"`
	Output     int64 `json:"output,omitzero"`
	CacheRead  int64 `json:"cache_read,omitzero"`
	CacheWrite int64 `json:"cache_write,omitzero"`
	Write1h    int64 `json:"cache_write_1h,omitzero"`
	Images     int64 `json:"images,omitzero"`
	Exact      bool  `json:"exact,omitzero"`
}

// Refused is a request that was not served, with everything known of it by
// then. The body of a refused request is not recorded, only its hash: a caller
// could otherwise fill the disk without ever meeting a limit.
type Refused struct {
	Asked
	Method    string `json:"method,omitzero"`
	Path      string `json:"path,omitzero"` // as sent
	Reason    string `json:"reason"`
	Status    int64  `json:"status,omitzero"`
	ErrorType string `json:"error_type,omitzero"`
	Message   string `json:"message,omitzero"`
	Limit     string `json:"limit,omitzero"`
	Detail    string `json:"detail,omitzero"` // for the operator; the caller never saw it
}

// Tally sums up refusals, or attempts on accounts, that were too many to be
// written one by one: those of one caller, or those of strangers of a network.
type Tally struct {
	Reason    string       `json:"reason"`             // "other" for what did not fit the table; of an account event: the event and its outcome
	Prefix    netip.Prefix `json:"prefix,omitzero"`    // /32 or /64; none for "other", and where a caller used several
	Principal Principal    `json:"principal,omitzero"` // none for strangers and "other"; key and scheme are left out where they differ
	Count     int64        `json:"count"`
	First     time.Time    `json:"first"`
	Last      time.Time    `json:"last"`
	Path      string       `json:"path,omitzero"`       // of one of them, quoted as Go does
	Agent     string       `json:"user_agent,omitzero"` // likewise
}

// Account is something that happened to an account, a key or the settings.
type Account struct {
	Time    time.Time  `json:"time"`
	Event   string     `json:"event"` // register, login, key.create, …
	Subject string     `json:"subject,omitzero"`
	Actor   string     `json:"actor,omitzero"` // empty: the subject itself, or nobody known
	IP      netip.Addr `json:"ip,omitzero"`
	Outcome string     `json:"outcome"` // "ok", or the reason why not
	Detail  string     `json:"detail,omitzero"`
}

// Amounts are what limits hold or kept for a call.
type Amounts []call.Amount

// amount is the form of a call.Amount in a meta.
type amount struct {
	Limit string `json:"limit"`
	Key   string `json:"key,omitzero"`
	Item  string `json:"item,omitzero"`
	N     int64  `json:"n"`
	At    int64  `json:"at,omitzero"`
}

// UnmarshalJSONFrom reads the JSON array that AppendMeta writes.
func (a *Amounts) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	var in []amount
	if err := json.UnmarshalDecode(d, &in); err != nil {
		return err
	}
	*a = make(Amounts, len(in))
	for i := range in {
		(*a)[i] = call.Amount(in[i])
	}
	return nil
}

// Kind implements [Meta].
func (*Admit) Kind() journal.Kind   { return KindAdmit }
func (*Part) Kind() journal.Kind    { return KindPart }
func (*Result) Kind() journal.Kind  { return KindResult }
func (*Refused) Kind() journal.Kind { return KindRefused }
func (*Tally) Kind() journal.Kind   { return KindTally }
func (*Account) Kind() journal.Kind { return KindAccount }

// Decode reads the meta of an entry of one of this package's kinds. The meta
// is not kept.
func Decode(kind journal.Kind, meta []byte) (Meta, error) {
	var m Meta
	switch kind {
	case KindAdmit:
		m = new(Admit)
	case KindPart:
		m = new(Part)
	case KindResult:
		m = new(Result)
	case KindRefused:
		m = new(Refused)
	case KindTally:
		m = new(Tally)
	case KindAccount:
		m = new(Account)
	default:
		return nil, fmt.Errorf("ledger: entry of unknown kind %d", kind)
	}
	err := error(nil)
	if len(meta) > MaxMeta {
		err = errors.New("meta is too long")
	} else if err = json.Unmarshal(meta, m); err == nil {
		err = m.check()
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: entry of kind %d: %w", kind, err)
	}
	return m, nil
}

func (a *Asked) check() error {
	a.Time = a.Time.UTC()
	return firstError(checkID(a.ID), checkTime(a.Time), checkAmounts(a.Amounts),
		checkCounts(a.BodyBytes, a.MaxTokens, a.InputEstimate))
}

func (a *Admit) check() error {
	return firstError(a.Asked.check(), a.Stored.check())
}

func (s *Stored) check() error {
	if len(s.Sealed) > maxID {
		return errors.New("bad id of a key")
	}
	return nil
}

func (r *Refused) check() error {
	return firstError(r.Asked.check(), checkCounts(r.Status))
}

func (p *Part) check() error {
	return firstError(checkID(p.ID), checkCounts(p.Index, p.Bytes), p.Stored.check())
}

func (r *Result) check() error {
	r.Time = r.Time.UTC()
	u := &r.Usage
	return firstError(checkID(r.ID), checkTime(r.Time), checkAmounts(r.Settled), r.Stored.check(),
		checkCounts(r.Status, r.Cost, r.Latency, r.FirstByte, r.Parts, r.BodyBytes),
		checkCounts(u.Input, u.Output, u.CacheRead, u.CacheWrite, u.Write1h, u.Images))
}

func (s *Tally) check() error {
	s.First, s.Last = s.First.UTC(), s.Last.UTC()
	return firstError(checkTime(s.First), checkTime(s.Last), checkCounts(s.Count))
}

func (a *Account) check() error {
	a.Time = a.Time.UTC()
	return checkTime(a.Time)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkID(id string) error {
	if id == "" || len(id) > maxID {
		return fmt.Errorf("bad id %.80q", id)
	}
	return nil
}

func checkTime(t time.Time) error {
	if t.Year() < 1 || t.Year() > 9999 {
		return errors.New("time is out of range")
	}
	return nil
}

func checkAmounts(a Amounts) error {
	if len(a) > maxAmounts {
		return fmt.Errorf("%d amounts", len(a))
	}
	return nil
}

func checkCounts(ns ...int64) error {
	for _, n := range ns {
		if n < 0 {
			return fmt.Errorf("negative count %d", n)
		}
	}
	return nil
}

// clip cuts s to at most n bytes, at the end of a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Quote prepares untrusted text of a request for a [Tally]: cut to n
// bytes and quoted, so that it cannot pretend to be anything else.
func Quote(s string, n int) string {
	if s == "" {
		return ""
	}
	return strconv.QuoteToASCII(clip(s, n))
}
