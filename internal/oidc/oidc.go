// Package oidc verifies bearer tokens (JWTs) that other issuers made: a
// company's identity provider, a cluster, a CI service. Callers then need no
// key of ours, and none that could leak.
//
// An [Issuer] is trusted for what its configuration says and nothing else. A
// token names the issuer it claims to be of; from there on everything is the
// configuration's choice and not the token's: the keys (of that issuer's JWKS,
// by kid; a key or an address in the token's header is refused), the
// algorithms, the audience, the claims that must hold and those that name the
// user and the team.
//
// Keys are fetched in the background ([Verifier.Run]), never while a request
// waits: at the start, every hour, and within a minute when a token names a
// key that is not known. While an issuer cannot be reached its keys stay good
// for a day. Signatures are verified anew for each request; nothing is cached
// by token, so that no two tokens can be taken for one another.
//
// A user is known by issuer and subject together. Names and teams are what
// the issuer says, within bounds.
package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/call"
)

// Issuer is who makes tokens, and what they must say to be taken.
type Issuer struct {
	URL       string            // as iss has it, to the letter
	Audience  string            // what aud must be: a text, or a list of this one only
	JWKS      string            // URL or file of the keys; empty: from the issuer's discovery document
	UserClaim string            // names the user
	TeamClaim string            // names the team, as text or list; empty: no team
	Teams     map[string]string // value of the team claim: our team; empty: the value is the team
	Require   map[string]string // claim: what it must be, or hold if it is a list
	Algs      []string          // that are accepted
	Client    *http.Client      // to reach the issuer with; not needed when JWKS is a file
}

// Options configure a Verifier.
type Options struct {
	Issuers  []Issuer
	Scheme   call.Scheme      // of the principals
	Previous *Verifier        // of the configuration before, whose keys are good until new ones are there
	Log      *slog.Logger     // nil: none
	Now      func() time.Time // nil: time.Now
}

// Verifier is safe for concurrent use.
type Verifier struct {
	scheme  call.Scheme
	issuers map[string]*issuer
	log     *slog.Logger
	now     func() time.Time
}

// New returns a Verifier. It has no keys until Run has fetched them, but for
// those of Options.Previous.
func New(o Options) (*Verifier, error) {
	v := &Verifier{scheme: o.Scheme, issuers: map[string]*issuer{}, log: o.Log, now: o.Now}
	if v.now == nil {
		v.now = time.Now
	}
	if v.log == nil {
		v.log = slog.New(slog.DiscardHandler)
	}
	for _, i := range o.Issuers {
		if err := i.check(); err != nil {
			return nil, fmt.Errorf("oidc issuer %s: %w", i.URL, err)
		}
		if v.issuers[i.URL] != nil {
			return nil, fmt.Errorf("oidc issuer %s stands twice", i.URL)
		}
		s := &issuer{Issuer: i, wake: make(chan struct{}, 1)}
		if o.Previous != nil {
			if old := o.Previous.issuers[i.URL]; old != nil && old.JWKS == i.JWKS {
				s.keys.Store(old.keys.Load())
			}
		}
		v.issuers[i.URL] = s
	}
	return v, nil
}

func (i *Issuer) check() error {
	switch {
	case i.URL == "" || i.Audience == "" || i.UserClaim == "" || len(i.Algs) == 0:
		return errors.New("needs a URL, an audience, a claim of the user and an algorithm")
	case i.Client == nil && (i.JWKS == "" || isURL(i.JWKS)):
		return errors.New("needs a client to fetch its keys with")
	}
	for _, alg := range i.Algs {
		if methods[alg] == nil {
			return fmt.Errorf("algorithm %.16q is not supported", alg)
		}
	}
	return nil
}

// Run keeps the keys of all issuers fresh until ctx is done.
func (v *Verifier) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, i := range v.issuers {
		wg.Go(func() { i.run(ctx, v) })
	}
	wg.Wait()
}

// Status is the state of one issuer's keys.
type Status struct {
	Issuer  string
	Keys    int
	Fetched time.Time // when they were last fetched; zero: never
	Err     string    // why they could not be fetched since; empty: they could
}

// Status tells the state of every issuer, by URL.
func (v *Verifier) Status() []Status {
	var out []Status
	for _, i := range v.issuers {
		s := Status{Issuer: i.URL}
		if k := i.keys.Load(); k != nil {
			s.Keys, s.Fetched = len(k.byKID), k.fetched
		}
		if err := i.failed.Load(); err != nil {
			s.Err = *err
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Status) int { return strings.Compare(a.Issuer, b.Issuer) })
	return out
}

// Token verifies a compact JWT. It does no I/O. known is false when the token
// says that it is of none of the issuers: then nothing else has been looked at.
func (v *Verifier) Token(token string) (p *call.Principal, refusal *call.Refusal, known bool) {
	t, err := open(token)
	if err != nil {
		return nil, nil, false
	}
	i := v.issuers[t.claims.text("iss")]
	if i == nil {
		return nil, nil, false
	}
	p, refusal = i.verify(t, v.now())
	if p != nil {
		p.Scheme = v.scheme
	}
	return p, refusal, true
}

// userID is a UUID that stands for a subject of an issuer and nobody else. The
// lengths stand in front, so that no two pairs run together.
func userID(issuer, subject string) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(issuer)))
	b = append(b, issuer...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(subject)))
	h := sha256.Sum256(append(b, subject...))
	h[6] = h[6]&0x0f | 0x80 // UUID version 8: a hash of our own making
	h[8] = h[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}
