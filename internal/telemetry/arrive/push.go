package arrive

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"gatehouse/internal/event"
	"gatehouse/internal/journal"
)

// PushOptions say what a push may be. Zero values mean what the comments say.
type PushOptions struct {
	// Secret that pushes carry, as bearer token or as Firehose access key. Empty:
	// only programs on this machine may push.
	Secret      string
	MaxBody     int64         // one body, as sent: 32 MiB
	MaxUnpacked int64         // the same unpacked: 512 MiB; of Firehose: MaxBody
	MaxHeld     int64         // all bodies being received, together: 128 MiB
	MaxTime     time.Duration // from the header to the end of a body: 1 minute
	Now         func() time.Time
}

// Push is the handler of POST /ingest/{strand}: the bytes go into the intake, and
// 200 is answered once they are durable there. Whether they are records is found
// out later; only an archive that does not unpack is refused at once, and a
// request that claims to be Firehose's and is not.
//
// Every other answer means that nothing was promised. A sender may send again
// whatever was not answered with 200: what was taken after all is known by its
// event ids.
type Push struct {
	o      PushOptions
	in     *Intake
	secret [32]byte

	mu   sync.Mutex
	free int64 // of MaxHeld
}

// NewPush makes the handler. It may be mounted under any listener; it reads the
// strand behind the last "/ingest/" of the path.
func NewPush(in *Intake, o PushOptions) *Push {
	if o.MaxBody <= 0 {
		o.MaxBody = 32 << 20
	}
	if o.MaxUnpacked <= 0 {
		o.MaxUnpacked = 512 << 20
	}
	if o.MaxHeld <= 0 {
		o.MaxHeld = 128 << 20
	}
	if o.MaxTime <= 0 {
		o.MaxTime = time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Push{o: o, in: in, secret: sha256.Sum256([]byte(o.Secret)), free: o.MaxHeld}
}

// refusal is an answer other than 200.
type refusal struct {
	status int
	retry  time.Duration // Retry-After; 0: none
	text   string
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status: status, text: fmt.Sprintf(format, args...)}
}

// ServeHTTP implements [http.Handler].
func (p *Push) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	held := &lease{p: p}
	defer held.end()
	n, err := p.take(w, r, held)
	p.answer(w, r, n, err)
}

// take returns how many bytes it made durable.
func (p *Push) take(w http.ResponseWriter, r *http.Request, held *lease) (int, error) {
	if err := p.allowed(r); err != nil {
		return 0, err
	}
	strand, err := route(r)
	if err != nil {
		return 0, err
	}
	if err := p.in.Room(); err != nil {
		return 0, full(err)
	}
	if r.ContentLength > p.o.MaxBody {
		return 0, p.tooLarge()
	}
	// Where the connection knows no deadlines, its server's own hold.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(p.o.MaxTime))
	meta := pushed{Strand: strand, Name: "push", Host: host(r).String()}
	if isFirehose(r) {
		return p.firehose(r, meta, held)
	}
	return p.plain(r, meta, held)
}

// allowed says who may push. It comes before anything of the body is read.
func (p *Push) allowed(r *http.Request) error {
	if p.o.Secret == "" {
		return local(r)
	}
	given := r.Header.Get("X-Amz-Firehose-Access-Key")
	if given == "" {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if strings.EqualFold(scheme, "bearer") {
			given = strings.TrimSpace(token)
		}
	}
	sum := sha256.Sum256([]byte(given))
	if subtle.ConstantTimeCompare(sum[:], p.secret[:]) != 1 {
		return refuse(http.StatusUnauthorized, "the secret is missing or wrong")
	}
	return nil
}

// local admits programs of this machine: not a proxy that stands before others,
// nor a page in a browser, which reaches loopback too.
func local(r *http.Request) error {
	if !host(r).IsLoopback() {
		return refuse(http.StatusForbidden, "only this machine may push while no secret is configured")
	}
	for _, h := range []string{"Origin", "Sec-Fetch-Site", "Forwarded", "X-Forwarded-For", "Via"} {
		if r.Header.Get(h) != "" {
			return refuse(http.StatusForbidden, "requests with %s need a secret", h)
		}
	}
	name := r.Host
	if h, _, err := net.SplitHostPort(name); err == nil {
		name = h
	}
	addr, err := netip.ParseAddr(strings.Trim(name, "[]"))
	if name != "localhost" && (err != nil || !addr.IsLoopback()) {
		return refuse(http.StatusForbidden, "the host must be localhost while no secret is configured")
	}
	return nil
}

func host(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr)
	return ap.Addr().Unmap()
}

// strands are the names behind /ingest/. The gateway's own strand is not among
// them: rules act on it, so nobody but the gateway may write it.
var strands = map[string]event.Strand{
	"auto":       "",
	"management": event.Management,
	"data":       event.Data,
	"invocation": event.Invocation,
	"endpoint":   event.Endpoint,
	"metrics":    event.Metrics,
}

func route(r *http.Request) (event.Strand, error) {
	_, name, _ := strings.Cut(r.URL.Path, "/ingest/")
	s, ok := strands[name]
	if !ok {
		return "", refuse(http.StatusNotFound, "push to /ingest/ and one of auto, management, data, invocation, endpoint, metrics")
	}
	if r.Method != http.MethodPost {
		return "", refuse(http.StatusMethodNotAllowed, "use POST")
	}
	return s, nil
}

// plain takes a body as it is; archives stay archives.
func (p *Push) plain(r *http.Request, meta pushed, held *lease) (int, error) {
	if t, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); strings.HasPrefix(t, "multipart/") {
		return 0, refuse(http.StatusUnsupportedMediaType, "send the records as the body, not as a form")
	}
	body, err := p.read(r.Body, p.o.MaxBody, held)
	if err != nil {
		return 0, err
	}
	if len(body) == 0 {
		return 0, refuse(http.StatusBadRequest, "the body is empty")
	}
	if err := p.unpacks(r.Header.Get("Content-Encoding"), body); err != nil {
		return 0, err
	}
	if err := p.in.append(meta, body); err != nil {
		return 0, full(err)
	}
	return len(body), nil
}

// unpacks checks that an archive is whole and not too large, and throws away what
// is in it.
func (p *Push) unpacks(encoding string, body []byte) error {
	z, err := unpack(encoding, bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer z.Close()
	n, err := io.Copy(io.Discard, io.LimitReader(z, p.o.MaxUnpacked+1))
	if err != nil {
		return refuse(http.StatusBadRequest, "the body does not unpack: %v", err)
	}
	if n > p.o.MaxUnpacked {
		return refuse(http.StatusRequestEntityTooLarge, "the body unpacks to more than %d bytes", p.o.MaxUnpacked)
	}
	return nil
}

// unpack reads what a Content-Encoding stands for, or what the first bytes do.
func unpack(encoding string, r io.Reader) (io.ReadCloser, error) {
	var head [4]byte
	n, _ := io.ReadFull(r, head[:])
	r = io.MultiReader(bytes.NewReader(head[:n]), r)
	isGzip, isZstd := string(head[:2]) == "\x1f\x8b", string(head[:]) == "\x28\xb5\x2f\xfd"
	switch encoding = strings.ToLower(strings.TrimSpace(encoding)); {
	case encoding == "gzip" && !isGzip, encoding == "zstd" && !isZstd:
		return nil, refuse(http.StatusBadRequest, "the body is not %s", encoding)
	case encoding != "" && encoding != "identity" && encoding != "gzip" && encoding != "zstd":
		return nil, refuse(http.StatusUnsupportedMediaType, "the encoding must be gzip, zstd or none")
	case isGzip:
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "the body is not gzip: %v", err)
		}
		return z, nil
	case isZstd:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(64<<20))
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "the body is not zstd: %v", err)
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(r), nil
}

// read reads all of r, which may be most long. Memory is taken as bytes come,
// out of what all pushes share, so that a length that is only claimed costs nothing.
func (p *Push) read(r io.Reader, most int64, held *lease) ([]byte, error) {
	var b []byte
	for {
		if len(b) == cap(b) {
			grown := max(64<<10, min(2*cap(b), int(most)+1))
			if !held.take(int64(grown - cap(b))) {
				return nil, &refusal{http.StatusTooManyRequests, time.Second, "too many bodies are being received"}
			}
			b = append(make([]byte, 0, grown), b...)
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if int64(len(b)) > most {
			return nil, p.tooLarge()
		}
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return nil, broken(err)
		}
	}
}

func (p *Push) tooLarge() error {
	return refuse(http.StatusRequestEntityTooLarge, "the body is longer than %d bytes", p.o.MaxBody)
}

// broken is the answer to a body that stopped coming.
func broken(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return refuse(http.StatusRequestTimeout, "the body came too slowly")
	}
	return refuse(http.StatusBadRequest, "the body ended early: %v", err)
}

// full is the answer to what the intake does not take: try again.
func full(err error) error {
	switch {
	case errors.Is(err, journal.ErrTooLarge):
		return refuse(http.StatusRequestEntityTooLarge, "the body is longer than the intake takes")
	case errors.Is(err, ErrBacklog):
		return &refusal{http.StatusServiceUnavailable, 10 * time.Second, err.Error()}
	case errors.Is(err, journal.ErrFull), errors.Is(err, journal.ErrSlow):
		return &refusal{http.StatusServiceUnavailable, time.Second, "the disk is busy"}
	}
	return &refusal{http.StatusServiceUnavailable, 30 * time.Second, "nothing can be recorded at the moment"}
}

// answer writes the reply, in the shape that Firehose wants where it asks.
func (p *Push) answer(w http.ResponseWriter, r *http.Request, n int, err error) {
	status, reply := http.StatusOK, any(map[string]int{"bytes": n})
	var no *refusal
	if errors.As(err, &no) {
		status, reply = no.status, map[string]string{"message": no.text}
	} else if err != nil { // none such is known
		no = &refusal{status: http.StatusInternalServerError, text: "internal error"}
		status, reply = no.status, map[string]string{"message": no.text}
	}
	h := w.Header()
	if no != nil {
		h.Set("Connection", "close") // the rest of a refused body is not worth reading
		if no.retry > 0 {
			h.Set("Retry-After", strconv.Itoa(int(no.retry.Seconds())))
		}
	}
	switch status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="ingest"`)
	case http.StatusMethodNotAllowed:
		h.Set("Allow", http.MethodPost)
	case http.StatusUnsupportedMediaType:
		h.Set("Accept-Encoding", "gzip, zstd")
	}
	if isFirehose(r) {
		reply = firehoseReply(r, p.o.Now(), no)
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(reply) // a sender that has gone will send again
}

// lease is what one push holds of the memory that all share.
type lease struct {
	p *Push
	n int64
}

func (l *lease) take(n int64) bool {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if n > l.p.free {
		return false
	}
	l.p.free -= n
	l.n += n
	return true
}

func (l *lease) end() {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.p.free += l.n
	l.n = 0
}
