package oidc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"gatehouse/internal/strictjson"
)

const (
	refresh   = time.Hour       // between fetches when all is well
	pause     = time.Minute     // between fetches at the least
	keep      = 24 * time.Hour  // that keys stay good while none can be fetched
	fetchTime = 5 * time.Second // of one request
	discovery = "/.well-known/openid-configuration"
)

// issuer is an Issuer with its keys. run alone writes keys and failed.
type issuer struct {
	Issuer
	keys   atomic.Pointer[keySet]
	failed atomic.Pointer[string] // why the last fetch did, if it did
	wake   chan struct{}          // somebody asked for a key that is not known
}

// key returns the key of that kid. ready is false while there are no keys. A
// kid that is not known has the keys fetched again, soon.
func (i *issuer) key(kid string, now time.Time) (k key, known, ready bool) {
	set := i.keys.Load()
	if set == nil || now.Sub(set.fetched) > keep {
		return key{}, false, false
	}
	if k, known = set.byKID[kid]; !known {
		select {
		case i.wake <- struct{}{}:
		default:
		}
	}
	return k, known, true
}

// run fetches the keys until ctx is done: at once, then every hour, and when
// woken, but never twice within a minute. Whoever sends tokens with made-up
// kids cannot make us send more than that.
func (i *issuer) run(ctx context.Context, v *Verifier) {
	for {
		next := refresh
		if err := i.fetch(ctx, v.now); err != nil && ctx.Err() == nil {
			next = pause
			if last := i.failed.Load(); last == nil || *last != err.Error() {
				v.log.Warn("keys of an OIDC issuer could not be fetched", "issuer", i.URL, "error", err)
			}
			text := err.Error()
			i.failed.Store(&text)
		} else {
			i.failed.Store(nil)
		}
		if !sleep(ctx, pause, nil) || !sleep(ctx, next-pause, i.wake) {
			return
		}
	}
}

// sleep waits for d or until woken. It is false when ctx is done.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// fetch replaces the keys. After a failure the old ones stay.
func (i *issuer) fetch(ctx context.Context, now func() time.Time) error {
	b, err := i.jwks(ctx)
	if err != nil {
		return err
	}
	keys, err := parseKeys(b)
	if err != nil {
		return err
	}
	i.keys.Store(&keySet{keys, now()})
	return nil
}

func isURL(s string) bool { return strings.Contains(s, "://") }

func (i *issuer) jwks(ctx context.Context) ([]byte, error) {
	switch {
	case i.JWKS == "":
		u, err := i.discover(ctx)
		if err != nil {
			return nil, err
		}
		return i.get(ctx, u)
	case isURL(i.JWKS):
		return i.get(ctx, i.JWKS)
	}
	f, err := os.Open(i.JWKS)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, i.JWKS)
}

// discover asks the issuer where its keys are. The document must be about the
// very issuer that was asked.
func (i *issuer) discover(ctx context.Context) (string, error) {
	b, err := i.get(ctx, strings.TrimSuffix(i.URL, "/")+discovery)
	if err != nil {
		return "", err
	}
	var d claims
	if err := d.Parse(b, strictjson.Options{Depth: 8, MaxNodes: 1 << 14}); err != nil {
		return "", fmt.Errorf("discovery document: %w", err)
	}
	if !d.Is(d.Get(0, "issuer"), i.URL) {
		return "", errors.New("discovery document: is of another issuer")
	}
	u, _ := d.String(d.Get(0, "jwks_uri"))
	if !strings.HasPrefix(u, "https://") && !strings.HasPrefix(i.URL, "http://") {
		return "", errors.New("discovery document: jwks_uri is not https")
	}
	return u, nil
}

func (i *issuer) get(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	client := *i.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: status %d", url, resp.StatusCode)
	}
	return readAll(resp.Body, url)
}

func readAll(r io.Reader, name string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxJWKS+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	case len(b) > maxJWKS:
		return nil, fmt.Errorf("read %s: longer than %d KiB", name, maxJWKS>>10)
	}
	return b, nil
}
