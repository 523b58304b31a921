package guard

import (
	"context"
	"errors"
	"fmt"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/call"
)

// Inbound judges the texts of a call's document. A call without one has nothing
// to judge. It is safe for concurrent use on different calls. When it cannot
// judge, the verdict has a refusal or, by Options.OnError, a note.
func (e *Engine) Inbound(ctx context.Context, c *call.Call) (v Verdict) {
	if c.Doc == nil || c.Family == nil || len(e.in) == 0 && e.o.Bedrock == nil {
		return Verdict{}
	}
	j := e.job()
	defer e.release(j)
	j.gone = ctx.Done()
	err := j.safely(func() {
		j.collect(c)
		j.judgePrompt()
	})
	v = j.verdict(c.Doc.Data()) // what was found stays, whatever broke
	if err == nil && !v.Blocked && e.o.Bedrock != nil {
		err = j.ask(ctx, &v, "INPUT")
	}
	v = e.settle(v, err)
	if v.Blocked && !answersText(c.Family) {
		v.Refusal = call.GuardDenied.Say(v.Message)
	}
	return v
}

var errGone = errors.New("the caller has left")

// safely runs f and reports what went wrong: that the time was over, or a
// panic, which is a fault of a rule's scorer or of ours and must not take the
// server down nor let the text pass unseen.
func (j *job) safely(f func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	f()
	select {
	case <-j.gone:
		return errGone
	default:
	}
	switch {
	case j.clock.late:
		return fmt.Errorf("not done within %v", j.e.o.Budget)
	case j.full:
		return errors.New("the texts hide more than is looked at")
	}
	return nil
}

// settle says what becomes of a verdict when err kept it from being complete. A
// block stands.
func (e *Engine) settle(v Verdict, err error) Verdict {
	switch {
	case err == nil || v.Blocked:
	case e.o.OnError == "allow" && !errors.Is(err, errGone):
		v.Notes = append(v.Notes, call.Note{Stage: "guard", Name: "guard", Action: string(Flag), Detail: "let pass unjudged: " + err.Error()})
	default:
		v.Edits, v.Refusal = nil, call.GuardDown.With(err.Error())
	}
	return v
}

// Bounds of what a guardrail of Bedrock is asked about at once.
const (
	maxAsked      = 25_000 // bytes of one question
	guardrailRule = "bedrock-guardrail"
)

// ask puts the texts to Bedrock's guardrail.
func (j *job) ask(ctx context.Context, v *Verdict, source string) error {
	s := &j.scans[asSent]
	var texts []string
	size := 0
	send := func() error {
		if len(texts) == 0 || v.Blocked {
			return nil
		}
		a, err := j.e.o.Bedrock(ctx, j.c, source, texts)
		if err != nil {
			return fmt.Errorf("bedrock guardrail: %w", err)
		}
		j.intervened(v, a)
		texts, size = texts[:0], 0
		return nil
	}
	for i := range s.segs {
		t := s.raw[s.segs[i].raw.start:s.segs[i].raw.end]
		for len(t) > 0 {
			n := min(len(t), maxAsked-size)
			if _, n = clip(t, 0, n); n+size > maxAsked+3 || n == 0 {
				n = len(t)
			}
			texts, size, t = append(texts, string(t[:n])), size+n, t[n:]
			if size >= maxAsked {
				if err := send(); err != nil {
					return err
				}
			}
		}
	}
	return send()
}

func (j *job) intervened(v *Verdict, a GuardrailAnswer) {
	switch {
	case !a.Intervened:
	case j.e.o.Observe:
		v.Notes = append(v.Notes, call.Note{Stage: "guard", Name: guardrailRule, Action: string(Block), Observe: true})
	default:
		v.Blocked, v.Rule, v.Message = true, guardrailRule, a.Message
		if v.Message == "" {
			v.Message = defaultSay
		}
	}
}

// Check judges one text as if it stood alone in a prompt, or, with out, in an
// answer, and returns all that the rules find in it, in their order. The error
// says that it could not be judged. Detectors that need a call find nothing.
func (e *Engine) Check(text []byte, role string, out bool) (hits []Hit, err error) {
	rules, decode, index := e.in, e.decodeIn, roleIndex(role)
	if out {
		rules, decode, index = e.out, e.decodeOut, roleAssistant
	}
	j := e.job()
	defer e.release(j)
	err = j.safely(func() {
		s := &j.scans[asSent]
		s.raw = append(s.raw, text...)
		s.end(0, segment{role: uint8(index), lastTurn: role == bedrock.RoleUser})
		j.judge(rules, out, decode)
	})
	for _, f := range j.found {
		hits = append(hits, Hit{
			Rule: f.rule.Name, Action: f.rule.Action, Observe: f.rule.Observe || e.o.Observe,
			Start: min(int(f.at.start), len(text)), End: min(int(f.at.end), len(text)), Decoded: f.decoded,
		})
	}
	return hits, err
}

// hides reports whether n needs to see what a text hides.
func (n *node) hides() bool {
	return n.canary || n.encoded() || n.has((*node).hides)
}

// encoded reports whether n asks for what came from an encoding.
func (n *node) encoded() bool {
	for _, d := range n.detectors {
		if detectors[d].name == "encoded" {
			return true
		}
	}
	return n.has((*node).encoded)
}

// scores reports whether n asks a scorer.
func (n *node) scores() bool { return len(n.scorers) > 0 || n.has((*node).scores) }

// shortest is the least MinLength in n; 0 when there is none.
func (n *node) shortest() int {
	least := n.minLength
	n.has(func(sub *node) bool {
		if k := sub.shortest(); k > 0 && (least == 0 || k < least) {
			least = k
		}
		return false
	})
	return least
}

// echoes reports whether n compares answers with the system prompt.
func (n *node) echoes() bool { return n.echo || n.has((*node).echoes) }

func (n *node) has(is func(*node) bool) bool {
	for _, list := range [...][]*node{n.any, n.all, n.then, n.unless} {
		for _, sub := range list {
			if is(sub) {
				return true
			}
		}
	}
	return false
}
