package limit

import (
	"slices"
	"strings"
	"sync"

	"gatehouse/internal/call"
)

// clusters are the prompts that others are compared with: of each scope, which
// is the other parts of a limit's key, the last few. A cluster is named by the
// sketch of its first prompt, and only that is compared with, so clusters do not
// drift. A name says all about its cluster: what the journal replays brings the
// clusters back, and a prompt makes the same cluster on every gateway, unless
// one knows another like it already.
//
// What is kept is bounded, and so is the work for a prompt. Whoever is forgotten
// begins anew, and the very same prompt is found again even then.
type clusters struct {
	mu     sync.Mutex
	scopes map[string]*scope
	ring   scope // by last use, the one unused for longest first
}

type scope struct {
	name       string
	known      []cluster // by last use, newest last
	next, prev *scope
}

type cluster struct {
	sketch sketch
	name   string
}

const (
	maxScopes = 1 << 13
	maxKnown  = 32
)

// appendCluster appends the name of the cluster that a call's prompt is in, or
// nothing when it has no prompt.
func (k *clusters) appendCluster(dst, scope []byte, c *call.Call, s *sketcher) []byte {
	sketch, ok := s.prompt(c)
	if !ok {
		return dst
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	c.Similar = k.scope(scope).join(sketch)
	return append(dst, c.Similar...)
}

// learn remembers the cluster of a bucket's key.
func (k *clusters) learn(key string) {
	end := strings.LastIndexByte(key, ',') + 1
	sketch, ok := parseSketch(key[end:])
	if !ok {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.scope([]byte(key[:end])).add(cluster{sketch, key[end:]})
}

// scope returns a scope as the one used last.
func (k *clusters) scope(name []byte) *scope {
	if k.scopes == nil {
		k.scopes = make(map[string]*scope)
		k.ring.next, k.ring.prev = &k.ring, &k.ring
	}
	s := k.scopes[string(name)]
	if s == nil {
		if len(k.scopes) >= maxScopes {
			delete(k.scopes, k.ring.next.name)
			k.ring.next.unlink()
		}
		s = &scope{name: string(name)}
		k.scopes[s.name] = s
	} else {
		s.unlink()
	}
	s.prev, s.next = k.ring.prev, &k.ring
	s.prev.next, k.ring.prev = s, s
	return s
}

func (s *scope) unlink() { s.prev.next, s.next.prev = s.next, s.prev }

// join returns the name of the cluster most like a sketch, a new one if none is.
func (s *scope) join(a *sketch) string {
	best, most := -1, alike-1
	for i := range s.known {
		if n := a.matches(&s.known[i].sketch); n > most {
			best, most = i, n
		}
	}
	if best < 0 {
		s.add(cluster{*a, a.String()})
	} else if best < len(s.known)-1 {
		c := s.known[best]
		copy(s.known[best:], s.known[best+1:])
		s.known[len(s.known)-1] = c
	}
	return s.known[len(s.known)-1].name
}

// add remembers a cluster, unless it is known.
func (s *scope) add(c cluster) {
	if slices.ContainsFunc(s.known, func(o cluster) bool { return o.sketch == c.sketch }) {
		return
	}
	if len(s.known) >= maxKnown {
		s.known = s.known[:copy(s.known, s.known[1:])]
	}
	s.known = append(s.known, c)
}
