package outbound_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/outbound"
)

// names is a resolver whose names have a list of answers, given in turn.
type names map[string][][]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	answers := n[host]
	if len(answers) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	if len(answers) > 1 {
		n[host] = answers[1:]
	}
	var addrs []netip.Addr
	for _, a := range answers[0] {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	return addrs, nil
}

func get(t *testing.T, c *outbound.Client, target string) (*outbound.Response, error) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Do(req)
}

// TestAddresses is rows W01 to W03 of the attack catalogue: literal, and as
// what a name resolves to.
func TestAddresses(t *testing.T) {
	const (
		public  = iota // always reachable
		inside         // reachable with AllowPrivate
		nowhere        // never
	)
	for _, row := range []struct {
		addr string
		want int
	}{
		{"127.0.0.1", inside}, {"127.8.8.8", inside}, {"::1", inside},
		{"10.0.0.1", inside}, {"172.16.0.1", inside}, {"172.31.255.255", inside}, {"192.168.1.1", inside},
		{"100.64.0.1", inside}, {"fc00::1", inside}, {"fd12:3456::1", inside}, {"::ffff:10.0.0.1", inside},
		{"0.0.0.0", nowhere}, {"::", nowhere}, {"169.254.169.254", nowhere}, {"169.254.170.2", nowhere},
		{"fd00:ec2::254", nowhere}, {"fd20:ce::254", nowhere}, {"100.100.100.200", nowhere}, {"168.63.129.16", nowhere},
		{"fe80::1", nowhere}, {"fe80::1%lo", nowhere}, {"fec0::1", nowhere},
		{"198.18.0.1", nowhere}, {"192.0.2.1", nowhere}, {"198.51.100.1", nowhere}, {"203.0.113.1", nowhere},
		{"192.0.0.192", nowhere}, {"192.88.99.1", nowhere}, {"224.0.0.1", nowhere}, {"240.0.0.1", nowhere}, {"255.255.255.255", nowhere},
		{"64:ff9b::a9fe:a9fe", nowhere}, {"64:ff9b:1::1", nowhere}, {"2002:a9fe:a9fe::", nowhere}, {"2001::1", nowhere}, {"2001:db8::1", nowhere},
		{"3fff::1", nowhere}, {"5f00::1", nowhere}, {"100::1", nowhere}, {"ff02::1", nowhere}, {"::ffff:169.254.169.254", nowhere}, {"::169.254.169.254", nowhere},
		{"8.8.8.8", public}, {"172.32.0.1", public}, {"100.128.0.1", public}, {"2606:4700::1", public}, {"2001:4860::1", public}, {"::ffff:8.8.8.8", public},
	} {
		for _, private := range []bool{false, true} {
			allowed := row.want == public || row.want == inside && private
			c := outbound.New(outbound.Options{AllowPrivate: private, Resolver: names{"receiver.test": {{row.addr}}}})
			reached := false
			c.DryRun(func(netip.Addr) { reached = true })
			for _, host := range []string{net.JoinHostPort(strings.ReplaceAll(row.addr, "%", "%25"), "443"), "receiver.test"} {
				reached = false
				_, err := get(t, c, "https://"+host+"/hook")
				if reached != allowed || errors.Is(err, outbound.ErrAddress) == allowed {
					t.Errorf("%s by https://%s, private %t: reached %t, %v; want reached %t", row.addr, host, private, reached, err, allowed)
				}
			}
		}
	}
}

// TestHostForms is the rest of W03: addresses written as something else, which
// some resolver would take for what they mean.
func TestHostForms(t *testing.T) {
	loopback := [][]string{{"127.0.0.1"}}
	hosts := names{"2130706433": loopback, "0x7f000001": loopback, "127.1": loopback, "0177.0.0.1": loopback, "localhost.": loopback, "localhost": loopback, "①②⑦.⓪.⓪.①": loopback}
	c := outbound.New(outbound.Options{Resolver: hosts})
	c.DryRun(func(a netip.Addr) { t.Errorf("reached %s", a) })
	for host := range hosts {
		if _, err := c.HTTPClient().Get("https://" + host + "/"); !errors.Is(err, outbound.ErrAddress) && !errors.Is(err, outbound.ErrURL) {
			t.Errorf("%s: %v, want a refusal of the address", host, err)
		}
	}
}

// TestRebinding is W04: only the address that is dialled counts, each time.
func TestRebinding(t *testing.T) {
	c := outbound.New(outbound.Options{Resolver: names{
		"rebinds.test": {{"8.8.8.8"}, {"127.0.0.1"}},
		"mixed.test":   {{"8.8.4.4", "::1"}, {"fd00:ec2::254", "8.8.4.4"}},
	}})
	var seen []string
	c.DryRun(func(a netip.Addr) { seen = append(seen, a.String()) })
	for _, row := range []struct {
		host string
		want []string
		deny bool
	}{
		{"rebinds.test", []string{"8.8.8.8"}, false},
		{"rebinds.test", nil, true},
		{"mixed.test", []string{"8.8.4.4"}, true},
		{"mixed.test", []string{"8.8.4.4"}, true},
		{"unknown.test", nil, false},
	} {
		seen = nil
		_, err := get(t, c, "https://"+row.host+"/")
		if !slices.Equal(seen, row.want) || errors.Is(err, outbound.ErrAddress) != row.deny {
			t.Errorf("%s: reached %v, %v; want %v and refusal %t", row.host, seen, err, row.want, row.deny)
		}
	}
}

// TestURLs is W06.
func TestURLs(t *testing.T) {
	for _, row := range []struct {
		url             string
		public, private bool // allowed by a client for such addresses
	}{
		{"https://hooks.test/a", true, true},
		{"https://hooks.test:443/a?b=c", true, true},
		{"https://[2606:4700::1]/", true, true},
		{"http://hooks.test/a", false, true},
		{"https://hooks.test:8443/", false, true},
		{"https://hooks.test:22/", false, true},
		{"https://hooks.test:6379/", false, true},
		{"https://hooks.test:0/", false, false},
		{"file:///etc/passwd", false, false},
		{"gopher://hooks.test/_x", false, false},
		{"https://good@evil.test/", false, false},
		{"https://good:pw@evil.test/", false, false},
		{"https:hooks.test/a", false, false},
		{"https:///a", false, false},
		{"https://hooks.test/a%0d%0aHost:%20b", false, false},
		{"https://hooks..test/", false, false},
		{"https://ho_oks.test./", true, true},
		{"https://hööks.test/", false, false},
		{"https://10.0.0.1/", false, true},
		{"https://1.2.3/", false, false},
	} {
		u, err := url.Parse(row.url)
		if err != nil {
			t.Errorf("%q: %v", row.url, err)
			continue
		}
		for private, want := range map[bool]bool{false: row.public, true: row.private} {
			if err := outbound.New(outbound.Options{AllowPrivate: private}).CheckURL(u); (err == nil) != want {
				t.Errorf("%q, private %t: %v, want allowed %t", row.url, private, err, want)
			}
		}
	}
	ports := outbound.New(outbound.Options{Ports: []int{443, 8443}})
	if err := ports.CheckURL(&url.URL{Scheme: "https", Host: "hooks.test:8443"}); err != nil {
		t.Errorf("a configured port: %v", err)
	}
}

// TestRedirects is W05: a redirect is an answer, and nothing is sent after it.
func TestRedirects(t *testing.T) {
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		to := map[string]string{"/302": "http://169.254.169.254/", "/307": r.URL.Path, "/301": "file:///etc/passwd", "/308": ":%zz"}[r.URL.Path]
		var status int
		fmt.Sscanf(r.URL.Path, "/%d", &status)
		w.Header().Set("Location", to)
		w.WriteHeader(status)
	}))
	defer s.Close()
	c := outbound.New(outbound.Options{AllowPrivate: true})
	for _, status := range []int{301, 302, 307, 308} {
		asked = 0
		resp, err := get(t, c, fmt.Sprintf("%s/%d", s.URL, status))
		if err != nil || resp.Status != status || asked != 1 {
			t.Errorf("%d: %+v, %v after %d requests; want the redirect itself after one", status, resp, err, asked)
		}
	}
	resp, err := c.HTTPClient().Post(s.URL+"/307", "text/plain", strings.NewReader("secret"))
	if err != nil || resp.StatusCode != 307 {
		t.Errorf("a library's client: %v, want the redirect itself", err)
	}
}

// TestBounds is W07.
func TestBounds(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		piece := make([]byte, 1<<10)
		switch r.URL.Path {
		case "/silent":
			<-r.Context().Done()
		case "/drip":
			for r.Context().Err() == nil {
				w.Write(piece[:1])
				w.(http.Flusher).Flush()
			}
		case "/endless":
			for r.Context().Err() == nil {
				w.Write(piece)
			}
		case "/fits":
			w.Write(piece)
		case "/head":
			w.Header().Set("X", strings.Repeat("x", 20<<10))
		}
	}))
	defer s.Close()
	c := outbound.New(outbound.Options{AllowPrivate: true, MaxBody: 1 << 10, Timeout: 2 * time.Second})
	hasty := outbound.New(outbound.Options{AllowPrivate: true, MaxBody: 1 << 40, Timeout: 30 * time.Millisecond})

	if resp, err := get(t, c, s.URL+"/fits"); err != nil || len(resp.Body) != 1<<10 || resp.Truncated {
		t.Errorf("an answer as long as allowed: %+v, %v", resp, err)
	}
	if resp, err := get(t, c, s.URL+"/endless"); err != nil || len(resp.Body) != 1<<10 || !resp.Truncated || resp.Status != 200 {
		t.Errorf("an endless answer: %+v, %v; want its first KiB", resp, err)
	}
	resp, err := c.HTTPClient().Get(s.URL + "/endless")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); !errors.Is(err, outbound.ErrTooLong) || len(b) != 1<<10 {
		t.Errorf("a library reads %d bytes of an endless answer, %v; want 1024 and ErrTooLong", len(b), err)
	}
	resp.Body.Close()
	if _, err := get(t, c, s.URL+"/head"); err == nil {
		t.Error("a head of 20 KiB was accepted")
	}
	for _, path := range []string{"/silent", "/drip"} {
		if _, err := get(t, hasty, s.URL+path); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want the deadline", path, err)
		}
	}
}

// TestProxyIgnored is W08.
func TestProxyIgnored(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://8.8.8.8:3128")
	}
	c := outbound.New(outbound.Options{Resolver: names{"hooks.test": {{"9.9.9.9"}}}})
	var seen netip.Addr
	c.DryRun(func(a netip.Addr) { seen = a })
	get(t, c, "https://hooks.test/")
	if seen.String() != "9.9.9.9" {
		t.Errorf("dialled %s, want the receiver itself", seen)
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	if resp, err := get(t, outbound.New(outbound.Options{AllowPrivate: true, RootCAs: roots}), s.URL); err != nil || string(resp.Body) != "ok" {
		t.Errorf("a server of a trusted authority: %v, %v", resp, err)
	}
	if _, err := get(t, outbound.New(outbound.Options{AllowPrivate: true}), s.URL); err == nil {
		t.Error("a server of an unknown authority was trusted")
	}
}

func TestDial(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := outbound.New(outbound.Options{AllowPrivate: true}).Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	mail := outbound.New(outbound.Options{Ports: []int{587}, Resolver: names{"mail.test": {{"10.0.0.1"}}}})
	for address, want := range map[string]error{
		"127.0.0.1:587": outbound.ErrAddress, "mail.test:587": outbound.ErrAddress,
		"mail.test:25": outbound.ErrURL, "①②⑦.0.0.1:587": outbound.ErrURL, ":587": outbound.ErrURL,
	} {
		if _, err := mail.Dial(t.Context(), address); !errors.Is(err, want) {
			t.Errorf("dial %s: %v, want %v", address, err, want)
		}
	}
}

// TestErrorsKeepSecrets: the path of a webhook's URL is what authorises to post.
func TestErrorsKeepSecrets(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	c := outbound.New(outbound.Options{AllowPrivate: true})
	for _, target := range []string{s.URL + "/T0/s3cret?k=s3cret", "http://unknown.invalid/s3cret", "http://169.254.169.254/s3cret", "ftp://a.test/s3cret", "http://a.test/%0as3cret"} {
		if _, err := get(t, c, target); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: error %v; want one without the path", target, err)
		}
	}
	s.Close()
}

func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{"https://a.test/", "https://[::1%25lo]:443/", "https://0x7f.1/", "https://a@b:443", "http://127.0.0.1:80"} {
		f.Add(s)
	}
	c := outbound.New(outbound.Options{})
	f.Fuzz(func(t *testing.T, s string) {
		u, err := url.Parse(s)
		if err != nil || c.CheckURL(u) != nil {
			return
		}
		if u.Scheme != "https" || u.User != nil || u.Port() != "" && u.Port() != "443" || strings.ContainsAny(u.Host, "\r\n @/") {
			t.Errorf("%q is allowed", s)
		}
		if a, err := netip.ParseAddr(u.Hostname()); err == nil && (a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast()) {
			t.Errorf("%q is allowed", s)
		}
	})
}
