package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"gatehouse/internal/call"
	"gatehouse/internal/config"
	"gatehouse/internal/oidc"
	"gatehouse/internal/outbound"
)

// issuers verify the tokens of outside issuers. It is an auth.Outside; without
// issuers it knows no token.
type issuers struct {
	verifier atomic.Pointer[oidc.Verifier]

	mu   sync.Mutex
	stop func() // ends the fetching of keys
}

// Token implements auth.Outside.
func (i *issuers) Token(token string) (*call.Principal, *call.Refusal, bool) {
	if v := i.verifier.Load(); v != nil {
		return v.Token(token)
	}
	return nil, nil, false
}

// maxKeySet bounds the key set of an issuer, in bytes.
const maxKeySet = 256 << 10

// newVerifier makes the verifier of c's issuers; nil when there are none. It
// takes over the keys that previous has fetched.
func newVerifier(c *config.Config, previous *oidc.Verifier, log *slog.Logger) (*oidc.Verifier, error) {
	if len(c.OIDC) == 0 {
		return nil, nil
	}
	o := oidc.Options{Scheme: call.OIDC, Previous: previous, Log: log}
	var errs []error
	for _, from := range c.OIDC {
		roots, err := rootsOf(from.CAFile)
		if err != nil {
			errs = append(errs, fmt.Errorf("oidc issuer %s: ca_file: %w", from.Issuer, err))
		}
		client := outbound.New(outbound.Options{AllowPrivate: from.Private, RootCAs: roots, MaxBody: maxKeySet + 1})
		o.Issuers = append(o.Issuers, oidc.Issuer{
			URL: from.Issuer, Audience: from.Audience, JWKS: from.JWKS, UserClaim: from.UserClaim, TeamClaim: from.TeamClaim,
			Teams: from.Teams, Require: from.Require, Algs: from.Algs, Client: client.HTTPClient(),
		})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return oidc.New(o)
}

// rootsOf reads the authorities of a PEM file; nil, the system's, without one.
func rootsOf(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return roots, nil
}

// replace puts other issuers in force.
func (i *issuers) replace(ctx context.Context, v *oidc.Verifier) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.stop != nil {
		i.stop()
		i.stop = nil
	}
	if v != nil {
		running, stop := context.WithCancel(ctx)
		i.stop = stop
		go v.Run(running)
	}
	i.verifier.Store(v)
}
