package redis_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"gatehouse/internal/store"
	"gatehouse/internal/store/redis"
)

func TestOptionsRefused(t *testing.T) {
	for _, c := range []struct{ url, prefix, want string }{
		{"", "", "scheme"},
		{"http://h", "", "scheme"},
		{"redis://", "", "host"},
		{"redis:///1", "", "host"},
		{"redis://:hunter2@h:1", "", "user or password"},
		{"redis://h:1/x", "", "number of a database"},
		{"redis://h:1/-1", "", "number of a database"},
		{"rediss://h:1?skip_verify=true", "", "no options"},
		{"redis://h:hunter2", "", "redis://HOST:PORT/DB"},
		{"redis://h:1", "a}b", "prefix"},
		{"redis://h:1", "a{b", "prefix"},
		{"redis://h:1", strings.Repeat("a", 65), "prefix"},
	} {
		_, err := redis.New(redis.Options{URL: c.url, Prefix: c.prefix})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("url %q, prefix %q: got %v, want an error with %q", c.url, c.prefix, err, c.want)
		}
	}
	if _, err := redis.New(redis.Options{URL: "redis://h", Timeout: -1}); err == nil {
		t.Error("a negative timeout was taken")
	}
}

func TestPassword(t *testing.T) {
	m := miniredis.RunT(t)
	m.RequireUserAuth("gate", "right")
	o := redis.Options{URL: "redis://" + m.Addr(), Username: "gate", Password: "hunter2", Timeout: time.Minute}
	c, err := redis.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Take(ctx, "a", one("requests", 5), make([]store.Count, 1))
	if err == nil {
		t.Fatal("a wrong password was taken")
	}
	up(t, c, false)
	for _, s := range []string{
		err.Error(), fmt.Sprintf("%+v", c.State()), fmt.Sprintf("%v %+v %#v %s", o, o, o, o.Password), slog.AnyValue(o.Password).Resolve().String(),
	} {
		if strings.Contains(s, "hunter2") {
			t.Errorf("password shows in %s", s)
		}
	}
	o.Password = "right"
	right, err := redis.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer right.Close()
	answered(t, right, "a", one("requests", 5), nil)
}

func TestTLS(t *testing.T) {
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	m, err := miniredis.RunTLS(&tls.Config{Certificates: web.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	for _, c := range []struct {
		name string
		tls  *tls.Config
		ok   bool
	}{
		{"roots of the system", nil, false},
		{"its root", &tls.Config{RootCAs: roots}, true},
		{"another name", &tls.Config{RootCAs: roots, ServerName: "redis.invalid"}, false},
	} {
		counts, err := redis.New(redis.Options{URL: "rediss://" + m.Addr(), TLS: c.tls, Timeout: 2 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer counts.Close()
		if taken, err := counts.Take(ctx, "a", one("requests", 5), make([]store.Count, 1)); taken != c.ok {
			t.Errorf("%s: got %v, %v, want %v", c.name, taken, err, c.ok)
		}
	}
}
