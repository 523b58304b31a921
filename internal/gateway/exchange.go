package gateway

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/call"
	"gatehouse/internal/gateway/guard"
	"gatehouse/internal/gateway/limit"
	"gatehouse/internal/gateway/read"
	"gatehouse/internal/gateway/upstream"
)

// exchange is one request and its answer: the call, and the ways to write. It
// implements upstream.Answer.
type exchange struct {
	g        *Gateway
	w        http.ResponseWriter
	r        *http.Request
	rc       *http.ResponseController
	call     *call.Call
	rules    *Rules
	route    Route
	stream   *guard.Stream // judges the answer; nil: nobody does
	held     read.Held
	decision limit.Decision

	authenticated bool
	started       bool      // the head has been sent
	aborted       bool      // a stream did not end whole: the connection goes
	deadline      time.Time // of the last write, set at most once a second
}

func newExchange(g *Gateway, w http.ResponseWriter, r *http.Request) *exchange {
	now := time.Now()
	path, query := splitTarget(r.RequestURI)
	c := &call.Call{
		ID: call.NewID(now), RequestID: call.NewRequestID(), Time: now,
		Method: r.Method, RawPath: path, RawQuery: query, Host: r.Host, Proto: r.Proto,
		IP: clientIP(r, g.o.Trusted), UserAgent: r.UserAgent(),
		SDKInvocationID: r.Header.Get("Amz-Sdk-Invocation-Id"),
	}
	if s := connState(r); s != nil {
		c.TLS, c.TLSCipher = tlsNames(s)
	}
	return &exchange{g: g, w: w, r: r, rules: g.rules.Load(), rc: http.NewResponseController(w), call: c}
}

// free gives back what the request held in memory, once nobody reads it.
func (x *exchange) free() {
	x.decision.Free()
	x.held.Free()
}

// splitTarget divides a request-target at its first question mark, decoding nothing.
func splitTarget(target string) (path, query string) {
	path, query, _ = strings.Cut(target, "?")
	return path, query
}

// checkRequest refuses requests that are valid HTTP but nothing a Bedrock client
// sends. HTTP/1 heads have been through checkHead already; HTTP/2 ones have not.
func checkRequest(r *http.Request) *call.Refusal {
	fields := 0
	for _, v := range r.Header {
		fields += len(v)
	}
	switch {
	case !knownMethod(r.Method):
		return call.BadMethod.With("method " + strconv.Quote(r.Method))
	case fields > maxFields:
		return call.HeadersTooLarge.With("too many header fields")
	case len(r.Header["Content-Length"]) > 1:
		return call.BadRequest.With("two Content-Length fields")
	case len(r.TransferEncoding) > 0:
		return call.LengthRequired.With("Transfer-Encoding")
	case !validHost([]byte(r.Host)) && r.ProtoMajor > 1:
		return call.BadRequest.With("malformed :authority")
	case len(r.RequestURI) == 0 || r.RequestURI[0] != '/':
		return call.BadRequest.With("request target is not a path")
	case encoded(r.Header["Content-Encoding"]):
		return call.BodyEncoded
	}
	return nil
}

func encoded(values []string) bool {
	for _, v := range values {
		if v != "" && !strings.EqualFold(v, "identity") {
			return true
		}
	}
	return false
}

// clientIP is the right-most address that is not one of our trusted proxies.
// Without trusted proxies the forwarded header means nothing.
func clientIP(r *http.Request, trusted []netip.Prefix) netip.Addr {
	ip := remoteIP(r.RemoteAddr)
	if !inside(trusted, ip) {
		return ip
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	if len(hops) > 64 {
		hops = hops[len(hops)-64:]
	}
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil || hop.Zone() != "" {
			return ip
		}
		if ip = hop.Unmap(); !inside(trusted, ip) {
			return ip
		}
	}
	return ip
}

func inside(prefixes []netip.Prefix, ip netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// commonHeaders sets what every reply of the data plane carries.
func (x *exchange) commonHeaders() {
	h := x.w.Header()
	h["X-Amzn-Requestid"] = []string{x.call.RequestID}
	h["X-Gatehouse-Call-Id"] = []string{x.call.ID}
}

// Whole answers the call with one body. It is part of upstream.Answer.
func (x *exchange) Whole(status int, header http.Header, body []byte, res *call.Result) error {
	var ref *call.Refusal
	if status == http.StatusOK {
		body, ref = x.outbound(header, body, res)
		x.rules.Read.Release(x.call)
	}
	if ref != nil {
		res.Status, res.ErrorType, res.Message = ref.Status, ref.Type, ref.Message
		x.Refuse(ref)
		return nil
	}
	return x.send(status, header, body, res)
}

func (x *exchange) send(status int, header http.Header, body []byte, res *call.Result) error {
	res.Body = body
	h := x.answerHeaders(header)
	if status < 400 {
		h["X-Gatehouse-Cost"] = []string{strconv.FormatInt(res.Cost, 10)}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	x.extendDeadline()
	x.started = true
	x.w.WriteHeader(status)
	_, err := x.w.Write(body)
	return err
}

// Start begins a streamed answer.
func (x *exchange) Start(header http.Header) error {
	h := x.answerHeaders(header)
	h["Trailer"] = []string{"X-Gatehouse-Cost"}
	x.extendDeadline()
	x.started = true
	x.w.WriteHeader(http.StatusOK)
	return x.rc.Flush()
}

// Frames sends a whole event-stream frame; flush when nothing more is at hand.
func (x *exchange) Frames(raw []byte, flush bool) (sent []byte, err error) {
	ended := false
	if sent = raw; x.stream != nil {
		sent, ended = x.stream.Frame(raw)
	}
	if len(sent) > 0 {
		x.extendDeadline()
		_, err = x.w.Write(sent)
	}
	if err == nil && (flush || ended) {
		err = x.rc.Flush()
	}
	switch {
	case err != nil:
		return nil, err
	case ended:
		return sent, upstream.ErrEnded
	}
	return sent, nil
}

// More is asked when a model writes more than was reserved for it: the limits
// have room for it, or the stream ends here.
func (x *exchange) More(tokens int64) *call.Refusal {
	if x.g.o.Limits.Extend(x.r.Context(), x.call, tokens) {
		return nil
	}
	return call.TokensLimited
}

// Finish ends a streamed answer.
func (x *exchange) Finish(res *call.Result) {
	if x.stream != nil {
		x.judged(x.stream.Verdict(), res)
	}
	x.w.Header()["X-Gatehouse-Cost"] = []string{strconv.FormatInt(res.Cost, 10)}
}

// Abort ends a streamed answer that is not whole.
func (x *exchange) Abort() { x.aborted = true }

// Part records frames that have been sent, so that a long stream needs little memory.
func (x *exchange) Part(frames []byte) error { return x.g.o.Record.Part(x.call, frames) }

// Refuse answers an admitted call with a refusal of our own; its result records it.
func (x *exchange) Refuse(ref *call.Refusal) {
	x.decision.SetHeaders(x.w.Header())
	x.commonHeaders()
	writeRefusal(x.w, ref, false)
}

func (x *exchange) answerHeaders(header http.Header) http.Header {
	h := x.w.Header()
	for k, v := range header {
		h[k] = v
	}
	if x.call.Bounded {
		h["X-Gatehouse-Max-Tokens"] = []string{strconv.FormatInt(x.call.MaxTokens, 10)}
	}
	x.decision.SetHeaders(h)
	x.commonHeaders()
	return h
}

// dropBody bounds how long net/http waits for what is left of a body.
func (x *exchange) dropBody() {
	if x.r.ContentLength != 0 {
		x.rc.SetReadDeadline(time.Now().Add(time.Second))
	}
}

const writeTimeout = 30 * time.Second

// extendDeadline gives a slow reader half a minute for each write.
func (x *exchange) extendDeadline() {
	if now := time.Now(); now.Sub(x.deadline) > time.Second {
		x.deadline = now
		x.rc.SetWriteDeadline(now.Add(writeTimeout))
	}
}

// writeRefusal answers in Bedrock's dialect. Strangers lose their connection,
// so that nothing they sent behind the refused request is ever read.
func writeRefusal(w http.ResponseWriter, ref *call.Refusal, stranger bool) {
	h := w.Header()
	h["X-Amzn-Errortype"] = []string{bedrock.ErrorHeader(ref.Type, ref.AuthLayer)}
	h["Content-Type"] = []string{"application/json"}
	if ref.RetryAfter > 0 {
		ms := (ref.RetryAfter + time.Millisecond - 1) / time.Millisecond
		h["Retry-After"] = []string{strconv.FormatInt(int64((ref.RetryAfter+time.Second-1)/time.Second), 10)}
		h["X-Amz-Retry-After"] = []string{strconv.FormatInt(int64(ms), 10)}
		h["Retry-After-Ms"] = []string{strconv.FormatInt(int64(ms), 10)}
	}
	if ref.Close || stranger {
		h["Connection"] = []string{"close"}
	}
	body := refusalBody(ref)
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(ref.Status)
	w.Write(body)
}

func refusalBody(ref *call.Refusal) []byte {
	key := "message"
	if ref.Upper {
		key = "Message"
	}
	body, _ := json.Marshal(map[string]string{key: ref.Message})
	return body
}

// rawRefusal is the whole reply to a head that net/http never saw.
func rawRefusal(c *call.Call, ref *call.Refusal) []byte {
	body := refusalBody(ref)
	b := []byte("HTTP/1.1 " + strconv.Itoa(ref.Status) + " " + http.StatusText(ref.Status) + "\r\n")
	for _, f := range [][2]string{
		{"Date", c.Time.UTC().Format(http.TimeFormat)},
		{"Content-Type", "application/json"},
		{"Content-Length", strconv.Itoa(len(body))},
		{"Connection", "close"},
		{"x-amzn-RequestId", c.RequestID},
		{"x-gatehouse-call-id", c.ID},
		{"x-amzn-ErrorType", bedrock.ErrorHeader(ref.Type, ref.AuthLayer)},
	} {
		b = append(b, f[0]+": "+f[1]+"\r\n"...)
	}
	return append(append(b, "\r\n"...), body...)
}
