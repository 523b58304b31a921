package record

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"gatehouse/internal/call"
	"gatehouse/internal/journal"
	"gatehouse/internal/seal"
)

// Bodies says what is recorded of the bodies of requests and answers.
type Bodies string

// The modes.
const (
	Full     Bodies = "full"     // the bytes
	Redacted Bodies = "redacted" // the bytes with secrets masked, and the hash of what was
	Hash     Bodies = "hash"     // length and SHA-256
	Off      Bodies = "off"      // the length
)

// Policy is what is recorded of bodies. It must not change once it is in force.
type Policy struct {
	Bodies Bodies            // "" is Full
	Teams  map[string]Bodies // of the calls of teams, where that differs
	Redact Redact            // masks secrets for mode redacted; nil: that mode keeps only hashes
	Keys   *seal.Keys        // seal what is kept; nil: it is written as it is

	Retention journal.Retention // how long what is recorded is kept, see Recorder.Retain
}

// Piece is what kind of body a Redact is given.
type Piece uint8

// The pieces of a call.
const (
	Request Piece = iota // c.Body
	Answer               // a whole answer
	Stream               // an answer as whole event-stream frames, all of them
)

// Redact returns a body of a call with its secrets masked; contentType is an
// answer's. It may return body itself and must not change it. ok is false
// where the body could not be judged: then only its hash is kept, and the
// record says so; the same where it panics. It is called on the request path,
// from any goroutine.
type Redact func(c *call.Call, of Piece, contentType string, body []byte) (masked []byte, ok bool)

// SetPolicy puts p in force for calls admitted from now on, and is safe while
// calls run; a stream keeps the mode of its first part. On an error nothing changes.
func (r *Recorder) SetPolicy(p Policy) error {
	p.Bodies = cmp.Or(p.Bodies, Full)
	p.Teams = maps.Clone(p.Teams)
	if err := p.Bodies.check("bodies"); err != nil {
		return err
	}
	for _, team := range slices.Sorted(maps.Keys(p.Teams)) {
		if err := p.Teams[team].check("bodies of team " + team); err != nil {
			return err
		}
	}
	r.policy.Store(&p)
	return nil
}

func (b Bodies) check(what string) error {
	switch b {
	case Full, Redacted, Hash, Off:
		return nil
	}
	return fmt.Errorf("record: %s: %q is none of full, redacted, hash, off", what, string(b))
}

// Bodies is what is recorded of the bodies of a team's calls; "" is the team
// of callers without one, as "default" is.
func (r *Recorder) Bodies(team string) Bodies { return r.policy.Load().bodies(team) }

func (p *Policy) bodies(team string) Bodies {
	if len(p.Teams) > 0 {
		if b, ok := p.Teams[cmp.Or(team, "default")]; ok {
			return b
		}
	}
	return p.Bodies
}

// of is Bodies for a call, which may have no caller that we know.
func (p *Policy) of(c *call.Call) Bodies {
	if c.Principal == nil {
		return p.Bodies
	}
	return p.bodies(c.Principal.Team)
}

// mask runs the policy's Redact. A panic in it must not cost a call its record.
func (p *Policy) mask(c *call.Call, of Piece, contentType string, body []byte) (masked []byte, ok bool) {
	if p.Redact == nil {
		return nil, false
	}
	defer func() {
		if recover() != nil {
			masked, ok = nil, false
		}
	}()
	return p.Redact(c, of, contentType, body)
}
