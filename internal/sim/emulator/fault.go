package emulator

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Fault is one way to go wrong on demand, and when. A call suffers at most one
// fault: the first of the list that matches it and is due.
type Fault struct {
	Kind  FaultKind
	Delay time.Duration // waited before anything is sent

	// When. The zero value is: on every call.
	Model       string  // glob of the model id as asked; * is any run of characters
	Operation   string  // glob of the operation's name
	Times       int     // at most so often; 0 is without end
	Every       int     // each nth matching call; 0 and 1 are each
	Probability float64 // of a matching call, drawn from the emulator's seed; 0 is 1

	// How, for the kinds that ask.
	After      int           // stream faults: deltas that are sent first
	Type       string        // exception: the camel-case type; error: the code
	Status     int           // 424, modelStreamErrorException: originalStatusCode
	RetryAfter time.Duration // 429, 503: x-amz-retry-after, sent when not 0
	Size       int           // headers, oversize: bytes
	Location   string        // redirect
}

// FaultKind names what goes wrong.
type FaultKind string

// The kinds. Those of an HTTP status answer with the error AWS has for it.
// The stream kinds act once After deltas have been sent, or at the stream's end
// if it has fewer; a call that is not a stream suffers only cut and end.
const (
	FaultSlow     FaultKind = "slow"     // only the delay
	FaultHang     FaultKind = "hang"     // no byte, until the client goes away
	FaultRedirect FaultKind = "redirect" // 302 to Location
	FaultHeaders  FaultKind = "headers"  // Size bytes of response headers
	FaultBytes    FaultKind = "bytes"    // the body in writes of one byte

	FaultThrottle       FaultKind = "429"        // too many requests
	FaultThrottleTokens FaultKind = "429-tokens" // too many tokens
	FaultNotReady       FaultKind = "not-ready"  // 429 ModelNotReadyException
	FaultQuota          FaultKind = "quota"      // 400 ServiceQuotaExceededException
	FaultDenied         FaultKind = "403"        // an IAM denial
	FaultTimeout        FaultKind = "408"
	FaultModel          FaultKind = "424"
	FaultInternal       FaultKind = "500"
	FaultUnavailable    FaultKind = "503"

	FaultCut       FaultKind = "cut"       // the connection breaks between frames
	FaultCutFrame  FaultKind = "cut-frame" // the connection breaks within a frame
	FaultEnd       FaultKind = "end"       // the body ends in good order, but too early
	FaultException FaultKind = "exception" // an exception frame, then the end
	FaultError     FaultKind = "error"     // an error frame, then the end
	FaultCRC       FaultKind = "crc"       // a frame with a wrong checksum, and on
	FaultOversize  FaultKind = "oversize"  // a frame of Size bytes, and on
)

// maxFaultSize bounds Size, maxFaultDelay the waits, maxFaults a list.
const (
	maxFaultSize  = 64 << 20
	maxFaultDelay = time.Hour
	maxFaults     = 256
)

// kindError is the answer of the kinds that are an HTTP status.
var kindError = map[FaultKind]wireError{
	FaultThrottle:       {status: 429, code: "ThrottlingException", message: "Too many requests, please wait before trying again. You have sent too many requests.  Wait before trying again."},
	FaultThrottleTokens: {status: 429, code: "ThrottlingException", message: "Too many tokens, please wait before trying again."},
	FaultNotReady:       {status: 429, code: "ModelNotReadyException", message: "The model specified in the request is not ready to serve inference requests. Wait and try again."},
	FaultQuota:          {status: 400, code: "ServiceQuotaExceededException", message: "Your request exceeds the service quota for your account."},
	FaultDenied:         {status: 403, code: "AccessDeniedException", auth: true},
	FaultTimeout:        {status: 408, code: "ModelTimeoutException", message: "Model has timed out in processing the request. Try your request again."},
	FaultModel:          {status: 424, code: "ModelErrorException", message: "The request failed due to an error while processing the model."},
	FaultInternal:       {status: 500, code: "InternalServerException", message: "The system encountered an unexpected error during processing. Try your request again."},
	FaultUnavailable:    {status: 503, code: "ServiceUnavailableException", message: "Bedrock is unable to process your request."},
}

// kindDefaults lists the kinds that are no HTTP status, with what they use
// where the fault does not say.
var kindDefaults = map[FaultKind]Fault{
	FaultSlow:      {Delay: time.Second},
	FaultHang:      {},
	FaultRedirect:  {Location: "http://redirected.invalid/"},
	FaultHeaders:   {Size: 256 << 10},
	FaultBytes:     {},
	FaultCut:       {},
	FaultCutFrame:  {},
	FaultEnd:       {},
	FaultException: {Type: "throttlingException"},
	FaultError:     {Type: "InternalFailure"},
	FaultCRC:       {},
	FaultOversize:  {Size: 25 << 20},
}

// setting is one key of a fault's text, and how it is read.
type setting struct {
	name string
	set  func(f *Fault, value string) error
}

var settings = []setting{
	{"kind", func(f *Fault, v string) error { f.Kind = FaultKind(v); return nil }},
	{"delay", func(f *Fault, v string) error { return setDuration(&f.Delay, v) }},
	{"model", func(f *Fault, v string) error { f.Model = v; return nil }},
	{"operation", func(f *Fault, v string) error { f.Operation = v; return nil }},
	{"times", func(f *Fault, v string) error { return setCount(&f.Times, v) }},
	{"every", func(f *Fault, v string) error { return setCount(&f.Every, v) }},
	{"probability", func(f *Fault, v string) error { return setProbability(&f.Probability, v) }},
	{"after", func(f *Fault, v string) error { return setCount(&f.After, v) }},
	{"type", func(f *Fault, v string) error { f.Type = v; return nil }},
	{"status", func(f *Fault, v string) error { return setCount(&f.Status, v) }},
	{"retry_after", func(f *Fault, v string) error { return setDuration(&f.RetryAfter, v) }},
	{"size", func(f *Fault, v string) error { return setCount(&f.Size, v) }},
	{"location", func(f *Fault, v string) error { f.Location = v; return nil }},
}

// ParseFault reads a fault as the command line gives it: the kind, and after
// a colon settings by name.
//
//	429:times=2
//	exception:after=3,type=modelStreamErrorException,model=anthropic.*
//	slow:delay=2s,every=10,operation=ConverseStream
func ParseFault(text string) (Fault, error) {
	kind, rest, found := strings.Cut(text, ":")
	f := Fault{Kind: FaultKind(kind)}
	var errs []error
	if found {
		for part := range strings.SplitSeq(rest, ",") {
			name, value, _ := strings.Cut(part, "=")
			errs = append(errs, f.set(name, value))
		}
	}
	return f.checked(text, errs)
}

// faultOf reads a fault from a JSON object, with the settings of ParseFault as
// its members.
func faultOf(members map[string]any) (Fault, error) {
	var f Fault
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(members)) {
		errs = append(errs, f.set(name, fmt.Sprint(members[name])))
	}
	return f.checked(fmt.Sprint(members["kind"]), errs)
}

// decodeFaults reads a JSON array whose items are objects or ParseFault texts.
func decodeFaults(data []byte) ([]Fault, error) {
	var items []any
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.UseNumber()
	if err := d.Decode(&items); err != nil {
		return nil, fmt.Errorf("a list of faults is wanted: %w", err)
	}
	if len(items) > maxFaults {
		return nil, fmt.Errorf("%d faults: at most %d", len(items), maxFaults)
	}
	list, errs := make([]Fault, len(items)), []error(nil)
	for i, item := range items {
		var err error
		switch item := item.(type) {
		case string:
			list[i], err = ParseFault(item)
		case map[string]any:
			list[i], err = faultOf(item)
		default:
			err = fmt.Errorf("fault %d: an object or a text is wanted", i)
		}
		errs = append(errs, err)
	}
	return list, errors.Join(errs...)
}

func (f *Fault) set(name, value string) error {
	i := slices.IndexFunc(settings, func(s setting) bool { return s.name == name })
	if i < 0 {
		return fmt.Errorf("unknown setting %q", name)
	}
	if err := settings[i].set(f, value); err != nil {
		return fmt.Errorf("%s=%s: %w", name, value, err)
	}
	return nil
}

// checked fills in the kind's defaults.
func (f Fault) checked(text string, errs []error) (Fault, error) {
	_, isError := kindError[f.Kind]
	def, isOther := kindDefaults[f.Kind]
	if !isError && !isOther {
		errs = append(errs, fmt.Errorf("unknown kind %q, want one of %s", f.Kind, strings.Join(kindNames(), " ")))
	}
	if strings.ContainsFunc(f.Location, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		errs = append(errs, errors.New("location has control characters"))
	}
	if len(f.Type) > 1<<10 {
		errs = append(errs, errors.New("type is too long"))
	}
	if err := errors.Join(errs...); err != nil {
		return Fault{}, fmt.Errorf("fault %q: %w", text, err)
	}
	f.Delay = cmp.Or(f.Delay, def.Delay)
	f.Type = cmp.Or(f.Type, def.Type)
	f.Size = cmp.Or(f.Size, def.Size)
	f.Location = cmp.Or(f.Location, def.Location)
	return f, nil
}

func kindNames() []string {
	var names []string
	for k := range kindError {
		names = append(names, string(k))
	}
	for k := range kindDefaults {
		names = append(names, string(k))
	}
	slices.Sort(names)
	return names
}

func setDuration(to *time.Duration, value string) error {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 || d > maxFaultDelay {
		return fmt.Errorf("a duration from 0 to %v is wanted, such as 200ms", maxFaultDelay)
	}
	*to = d
	return nil
}

func setCount(to *int, value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > maxFaultSize {
		return fmt.Errorf("a whole number from 0 to %d is wanted", maxFaultSize)
	}
	*to = n
	return nil
}

func setProbability(to *float64, value string) error {
	p, err := strconv.ParseFloat(value, 64)
	if err != nil || !(p >= 0 && p <= 1) {
		return errors.New("a number from 0 to 1 is wanted")
	}
	*to = p
	return nil
}

// streamOnly reports whether the fault acts on frames and cannot befall a call
// that has none.
func (f *Fault) streamOnly() bool {
	switch f.Kind {
	case FaultCutFrame, FaultException, FaultError, FaultCRC, FaultOversize:
		return true
	}
	return false
}

// wire is the answer of a fault that is an HTTP status, nil of the others.
func (f *Fault) wire() *wireError {
	e, ok := kindError[f.Kind]
	if !ok {
		return nil
	}
	e.retryAfter = f.RetryAfter
	if f.Kind == FaultModel {
		e.originalStatus = cmp.Or(f.Status, 500)
	}
	return &e
}

// faults is the list in force. It may be replaced while calls are served.
type faults struct {
	armed atomic.Bool // false: the list is empty, and need not be looked at

	mu   sync.Mutex
	list []armedFault
	rng  rand.PCG
}

type armedFault struct {
	Fault
	seen, fired int
}

func (s *faults) replace(list []Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = make([]armedFault, len(list))
	for i, f := range list {
		s.list[i].Fault = f
	}
	s.armed.Store(len(list) > 0)
}

// take returns the fault the call is to suffer, nil for none.
func (s *faults) take(operation, model string, stream bool) *Fault {
	if !s.armed.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.list {
		f := &s.list[i]
		if f.streamOnly() && !stream || !glob(f.Operation, operation) || !glob(f.Model, model) {
			continue
		}
		f.seen++
		if f.due(&s.rng) {
			f.fired++
			taken := f.Fault
			return &taken
		}
	}
	return nil
}

func (f *armedFault) due(rng *rand.PCG) bool {
	switch {
	case f.Times > 0 && f.fired >= f.Times:
		return false
	case f.Every > 1 && f.seen%f.Every != 0:
		return false
	case f.Probability > 0 && float64(rng.Uint64()>>11)/(1<<53) >= f.Probability:
		return false
	}
	return true
}

// faultState is a fault and its count, as the control endpoint shows them.
type faultState struct {
	Kind  FaultKind `json:"kind"`
	Seen  int       `json:"seen"`
	Fired int       `json:"fired"`
}

func (s *faults) states() []faultState {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]faultState, len(s.list))
	for i, f := range s.list {
		out[i] = faultState{f.Kind, f.seen, f.fired}
	}
	return out
}

// glob matches text against a pattern in which * is any run of characters. An
// empty pattern matches all.
func glob(pattern, text string) bool {
	if pattern == "" || pattern == "*" {
		return true
	}
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	if !strings.HasPrefix(text, first) {
		return false
	}
	text = text[len(first):]
	for {
		part, more, star := strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(text, part)
		}
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text, rest = text[i+len(part):], more
	}
}
