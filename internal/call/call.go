// Package call holds the words of the request path: a [Call] is one Bedrock
// operation asked of Gatehouse, allowed or refused; a [Principal] makes it;
// [Usage] is what it consumed; a [Refusal] is why it was not served; a
// [Result] is how it ended.
//
// Every stage of internal/gateway reads and fills one Call. The package imports
// only the wire vocabulary and decides nothing.
package call

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/strictjson"
)

// Call is one operation asked of us. It is owned by the goroutine that serves
// the request; no stage keeps it after the call has settled.
type Call struct {
	ID        string    // our id, x-gatehouse-call-id: UUID v7, rising within a process
	RequestID string    // x-amzn-RequestId: AWS's own once known, before that a UUID v4 of ours
	Time      time.Time // when the request's headers had been read

	// What was asked, from the raw request line.
	Operation       *bedrock.Operation // nil when the path is no known operation
	Target          bedrock.Target     // with the path's decoded labels
	Method          string
	RawPath         string // the request-target's path as sent, never cleaned or decoded
	RawQuery        string
	Host            string // Host or :authority as sent
	Proto           string // HTTP/1.1 or HTTP/2.0
	TLS             string // "TLSv1.3", empty on plain HTTP
	TLSCipher       string
	IP              netip.Addr // the client, after trusted proxies, unmapped
	UserAgent       string
	SDKInvocationID string      // amz-sdk-invocation-id
	Header          http.Header // those of its headers that go to Bedrock

	Principal *Principal // nil before authentication
	CallerARN string     // the principal's name in records and messages

	// What was read from the body.
	Model          model.Ref
	ContentType    string
	Accept         string
	Guardrail      string   // identifier and version asked for, "id:version"
	Body           []byte   // the exact bytes that are forwarded
	OriginalSHA256 [32]byte // of the bytes the caller sent
	BodySHA256     [32]byte // of Body
	MaxTokens      int64    // the bound on the tokens of one answer that Body carries; 0 when the operation has none
	Bounded        bool     // the bound is ours: the caller gave none
	Answers        int64    // how many answers are asked for, each up to the bound; at least 1
	Images         int64    // how many images are asked for; 0 where answers are text
	InputEstimate  int64    // an upper bound on input tokens

	// The parsed body, for the stages after reading. Both are nil for an
	// operation without a body, and end with the body's memory.
	Family   *bedrock.Family
	Doc      *strictjson.Document
	LastTurn []strictjson.Node // texts of Doc that the user said last

	Country string   // of IP, two upper-case letters; empty if unknown
	Similar string   // the cluster of prompts like this one's last turn; set by limits that ask
	Amounts []Amount // what the limits reserved for this call
	Notes   []Note   // what stages noticed and let pass

	turn [4]strictjson.Node // memory for LastTurn
}

// Said adds n to LastTurn.
func (c *Call) Said(n strictjson.Node) {
	if c.LastTurn == nil {
		c.LastTurn = c.turn[:0]
	}
	c.LastTurn = append(c.LastTurn, n)
}

// Note is what a stage noticed about a call and let pass: a limit that flags, a
// text that was masked, and what would have been refused but for observe mode.
type Note struct {
	Stage   string // limit, guard or policy
	Name    string // of the limit, rule or policy
	Action  string // flag or mask; in observe mode refuse, block or mask
	Observe bool   // not done, only observed
	Detail  string // for the operator; never the text that matched
}

// OutputBound is the most output tokens that the call may come to.
func (c *Call) OutputBound() int64 { return c.MaxTokens * max(c.Answers, 1) }

// Worst is the most that the call may cost, in nano-USD.
func (c *Call) Worst() int64 {
	if c.Model.Model == nil {
		return 0
	}
	return c.Model.Price.Worst(c.InputEstimate, c.OutputBound()) + c.Model.Price.ImageCost(c.Images)
}

// Amount is what one limit holds of one bucket for one call. The journal
// carries amounts, so that a restart replays numbers and never re-decides.
type Amount struct {
	Limit string // the limit's name
	Key   string // the bucket: the values of the limit's `per`, escaped and joined
	Item  string // what is counted once, of a limit on different models
	N     int64
	At    int64 // when it was taken, Unix nanoseconds
}

// Principal is who makes a call.
type Principal struct {
	UserID  string // stable id, a UUID
	User    string // name or e-mail address, the last part of the ARN
	Team    string // empty: "default" in the ARN
	Key     KeyID  // empty for login tokens
	Scheme  Scheme
	Scope   Scope
	Expires time.Time // of the credential; zero: never
}

// ARN is the caller's name in records and in Bedrock-shaped messages.
func (p *Principal) ARN(account string) string {
	team := p.Team
	if team == "" {
		team = "default"
	}
	return "arn:aws:iam::" + account + ":user/" + team + "/" + p.User
}

// KeyID is the public id of a Gatehouse key: the SigV4 access key id.
type KeyID string

// Scheme is how a principal proved itself.
type Scheme uint8

// The schemes, as they are written in records.
const (
	None Scheme = iota
	SigV4
	APIKey
	Token // of our own, from a login
	OIDC  // of an outside issuer
)

var schemeNames = [...]string{None: "none", SigV4: "sigv4", APIKey: "api_key", Token: "token", OIDC: "oidc"}

func (s Scheme) String() string { return schemeNames[s] }

// Scope narrows what a key may do. Empty lists allow everything.
type Scope struct {
	Models     []string       // globs over the normalised model id
	Operations []string       // operation names
	Networks   []netip.Prefix // client addresses
}

// Usage is what a call consumed, in the units Bedrock bills.
type Usage struct {
	Input      int64 `json:"input_tokens"` // without cache reads and writes
	Output     int64 `json:"output_tokens"`
	CacheRead  int64 `json:"cache_read_tokens,omitzero"`
	CacheWrite int64 `json:"cache_write_tokens,omitzero"`
	Write1h    int64 `json:"cache_write_1h_tokens,omitzero"` // of CacheWrite: kept for an hour
	Images     int64 `json:"images,omitzero"`
	Exact      bool  `json:"exact"` // told by the model; false: our estimate
}

// Outcome is how an admitted call ended.
type Outcome string

// The outcomes.
const (
	OK          Outcome = "ok"             // answered in full
	Upstream    Outcome = "upstream_error" // upstream answered with an error
	Unreachable Outcome = "unreachable"    // upstream did no work: connection refused, no answer in time
	ClientGone  Outcome = "client_gone"    // the caller left before the end
	Truncated   Outcome = "truncated"      // upstream stopped in the middle
	Interrupted Outcome = "interrupted"    // the gateway stopped; written by recovery
	Blocked     Outcome = "blocked"        // the guard stopped the prompt or the answer
	Stopped     Outcome = "stopped"        // a limit or a freeze ended it in the middle
)

// Result is how an admitted call ended.
type Result struct {
	Time        time.Time // when the last byte was sent
	Outcome     Outcome
	Status      int    // what the caller got
	ErrorType   string // AWS error code, empty on success
	Message     string // AWS error message
	Usage       Usage
	Cost        int64         // nano-USD
	Region      string        // where it was sent
	Latency     time.Duration // from admit to the last byte
	FirstByte   time.Duration // from admit to the first content byte; 0 if none
	ContentType string
	Body        []byte   // what was answered and not yet recorded as parts
	Worked      bool     // upstream did, or may have done, work: nothing of the request count goes back
	Notes       []Note   // what the guard noticed about the answer
	Settled     []Amount // final amounts; filled by the limiter
}

var ids struct {
	sync.Mutex
	last uint64 // milliseconds<<12 | counter
}

// NewID returns a UUID v7 that is greater than every earlier one of this
// process, also when the clock steps back. It is safe for concurrent use.
func NewID(now time.Time) string {
	ids.Lock()
	n := uint64(now.UnixMilli()) << 12
	if n <= ids.last {
		n = ids.last + 1
	}
	ids.last = n
	ids.Unlock()
	var b [16]byte
	rand.Read(b[8:])
	binary.BigEndian.PutUint64(b[:8], n>>12<<16|0x7000|n&0xfff)
	b[8] = b[8]&0x3f | 0x80
	return format(b)
}

// NewRequestID returns a random UUID v4, the form of Bedrock's request ids.
func NewRequestID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return format(b)
}

func format(b [16]byte) string {
	var s [36]byte
	hex.Encode(s[:8], b[:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:], b[10:])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}

// SetBody makes b the body that is forwarded.
func (c *Call) SetBody(b []byte) {
	c.Body = b
	c.BodySHA256 = sha256.Sum256(b)
}
