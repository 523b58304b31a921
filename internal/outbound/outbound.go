// Package outbound is the one HTTP client with which Gatehouse speaks to
// addresses that people configure: webhooks, mail servers, issuers of tokens.
//
// Whoever may write such an address must not thereby reach what only this
// machine reaches: its own loopback ports, the private network, the cloud's
// metadata service. So, whatever a name resolved to before, the address is
// checked at the moment a socket connects to it ([Client] resolves and dials
// anew for every request), proxies from the environment are ignored, redirects
// are not followed, and answers are bounded in time and bytes.
//
// A receiver inside the site is allowed by Options.AllowPrivate, one receiver
// at a time; metadata services and the like stay out of reach even then. The
// table of addresses is in address.go.
package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Resolver looks up names; [net.Resolver] is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Options configure a Client.
type Options struct {
	AllowPrivate bool           // loopback and private addresses, any port, and http
	Ports        []int          // that may be dialled; nil: 443, or any with AllowPrivate
	RootCAs      *x509.CertPool // nil: the system's
	Timeout      time.Duration  // of one request, to the last byte of its answer; 0: 5 s
	MaxBody      int64          // bytes of an answer; 0: 64 KiB
	Resolver     Resolver       // nil: the system's
}

const (
	defaultTimeout = 5 * time.Second
	defaultBody    = 64 << 10
	maxHeader      = 16 << 10
	maxAddresses   = 8 // of one name that are tried
)

// The classes of errors, for errors.Is. No error holds a path or a query: they
// may be secret.
var (
	ErrURL     = errors.New("URL not allowed")
	ErrAddress = errors.New("address not allowed")
	ErrTooLong = errors.New("answer too long")
)

// Client makes requests and connections. It is safe for concurrent use and
// keeps nothing open between uses.
type Client struct {
	o         Options
	dialer    net.Dialer
	transport *http.Transport
}

// New returns a client.
func New(o Options) *Client {
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.MaxBody <= 0 {
		o.MaxBody = defaultBody
	}
	if o.Ports == nil && !o.AllowPrivate {
		o.Ports = []int{443}
	}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	c := &Client{o: o}
	c.dialer.ControlContext = c.control
	c.transport = &http.Transport{
		Proxy:                  nil, // the environment names proxies for other programs
		DialContext:            c.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
		DisableKeepAlives:      true, // every request resolves and is checked anew
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
	return c
}

// Response is a whole answer.
type Response struct {
	Status    int
	Header    http.Header
	Body      []byte // at most Options.MaxBody
	Truncated bool   // there was more
}

// Do sends a request and reads its answer. It follows no redirect: a 3xx is an
// answer like any other.
func (c *Client) Do(req *http.Request) (*Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), c.o.Timeout)
	defer cancel()
	resp, err := c.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	long := errors.Is(err, ErrTooLong)
	if err != nil && !long {
		return nil, fmt.Errorf("read the answer of %s: %w", req.URL.Host, err)
	}
	return &Response{resp.StatusCode, resp.Header, body, long}, nil
}

// HTTPClient returns a client for libraries, with the same rules. A body that
// is too long ends in ErrTooLong.
func (c *Client) HTTPClient() *http.Client {
	return &http.Client{
		Transport:     c,
		Timeout:       c.o.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// RoundTrip makes a Client an [http.RoundTripper].
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := c.CheckURL(req.URL); err != nil {
		closeBody(req.Body)
		return nil, err
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", req.URL.Host, err)
	}
	resp.Body = &bounded{resp.Body, c.o.MaxBody}
	return resp, nil
}

func closeBody(b io.ReadCloser) {
	if b != nil {
		b.Close()
	}
}

// bounded fails once more than left has been read.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrTooLong
	}
	if int64(len(p)) > b.left+1 { // one more byte tells whether there is more
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n - 1, ErrTooLong
	}
	return n, err
}

// Dial connects by TCP, for protocols other than HTTP, under the same rules.
func (c *Client) Dial(ctx context.Context, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		err = c.checkHost(host, port)
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	return c.dial(ctx, "tcp", address)
}

// dial resolves a name and tries its addresses in order. The check is in
// control, on the address that the socket is about to connect to.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := c.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	var errs []error
	for i, a := range addrs {
		share, cancel := portion(ctx, len(addrs)-i)
		conn, err := c.dialer.DialContext(share, network, net.JoinHostPort(a.String(), port))
		cancel()
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (c *Client) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	addrs, err := c.o.Resolver.LookupNetIP(ctx, "ip", host)
	if err == nil && len(addrs) == 0 {
		err = fmt.Errorf("%s has no address", host)
	}
	return addrs[:min(len(addrs), maxAddresses)], err
}

// portion leaves each of n attempts its part of the time that remains, so that
// one silent address does not take it all.
func portion(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	if end, ok := ctx.Deadline(); ok {
		return context.WithTimeout(ctx, time.Until(end)/time.Duration(n))
	}
	return ctx, func() {}
}

// CheckURL says whether a request may go to u, as far as the URL alone tells.
func (c *Client) CheckURL(u *url.URL) error {
	switch {
	case u.Scheme != "https" && !(u.Scheme == "http" && c.o.AllowPrivate):
		return fmt.Errorf("%w: the scheme must be https", ErrURL)
	case u.User != nil:
		return fmt.Errorf("%w: a user or password stands in it", ErrURL)
	case u.Opaque != "":
		return fmt.Errorf("%w: it has no //", ErrURL)
	case strings.ContainsFunc(u.Path+u.RawQuery, isControl):
		return fmt.Errorf("%w: it holds control characters", ErrURL)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return c.checkHost(u.Hostname(), port)
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

// checkHost refuses hosts that are written so that two readers may take them
// for different ones, and ports that are not meant.
func (c *Client) checkHost(host, port string) error {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || c.o.Ports != nil && !slices.Contains(c.o.Ports, int(n)) {
		return fmt.Errorf("%w: port %q", ErrURL, port)
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return c.checkAddr(a)
	}
	if !isName(host) {
		return fmt.Errorf("%w: the host is neither a name in ASCII nor an address", ErrURL)
	}
	return nil
}

// isName accepts host names in ASCII. A last label that begins with a digit is
// an address in one of its old forms to some resolvers: 127.1, 0x7f000001.
func isName(host string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	name := strings.TrimSuffix(host, ".")
	last := name[strings.LastIndexByte(name, '.')+1:]
	return last != "" && len(host) <= 253 && strings.Trim(name, letters+"0123456789-_.") == "" &&
		strings.IndexByte(letters, last[0]) >= 0 && !strings.Contains(name, "..")
}
