// Package notify sends short messages to people and programs: that an alarm
// fired, a budget is nearly spent, a rule gave a signal.
//
// A [Message] goes to channels: a webhook, Slack, mail, an SNS topic (one file
// each). [Notifier.Send] never waits. Each channel has a queue of its own and a
// goroutine that [Notifier.Run] starts, which tries a message a few times over
// some minutes; what the queue has no room for is dropped, counted and said in
// the next message. Messages with the same Key are sent once in a while, with a
// summary of the rest at the end of it (quiet.go).
//
// Everything that leaves goes through internal/outbound, so that a channel
// cannot be turned on the network behind the gateway. Texts may quote what
// strangers chose (names, model ids): they are cleaned of control characters
// and cut on the way in, and escaped by each channel. URLs, keys and passwords
// are secrets; no error, log line or row holds one.
package notify

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"gatehouse/internal/outbound"
	"gatehouse/internal/sigv4"
)

// Secret prints as "[redacted]"; string(s) is the secret.
type Secret = sigv4.Secret

// Message is what is to be said.
type Message struct {
	Time     time.Time // zero: now
	Kind     string    // alarm, limit, signal: what it is about
	Severity int       // 0 to 10
	Title    string    // one line
	Text     string
	Fields   []Field
	Link     string // to more; https or http
	Key      string // messages with the same one are the same news; empty: like no other

	id string // one for all attempts and channels, so that receivers can tell repeats
}

// Field is one fact of a message.
type Field struct {
	Name, Value string
}

// level is the word for a severity.
func (m *Message) level() string {
	switch s := m.Severity; {
	case s >= 8:
		return "critical"
	case s >= 5:
		return "high"
	case s >= 3:
		return "medium"
	case s >= 1:
		return "low"
	}
	return "info"
}

// Channel is one receiver.
type Channel struct {
	Name     string
	Kind     string   // webhook, slack, smtp, sns
	URL      Secret   // of webhook and slack
	Key      Secret   // signs what webhook sends; empty: unsigned
	Server   string   // host:port, of smtp
	From     string   // address, of smtp
	To       []string // addresses, of smtp
	Username string   // of smtp; empty: no authentication
	Password Secret   // of smtp
	Topic    string   // ARN, of sns
	Private  bool     // the receiver may be inside: private address, any port, no TLS
}

// Options are what a Notifier is made of.
type Options struct {
	Channels    []Channel
	Quiet       time.Duration                                    // between messages of one key; 0: 10 minutes
	Credentials func(context.Context) (sigv4.Credentials, error) // for sns
	SNS         string                                           // URL in place of AWS's endpoint, for sns; empty: AWS
	RootCAs     *x509.CertPool                                   // nil: the system's
	Resolver    outbound.Resolver                                // nil: the system's
	Log         *slog.Logger                                     // gets what failed; nil: nobody
}

// sender speaks to one receiver. It is called by one goroutine, makes one
// attempt, and returns a *permanent where another would not help.
type sender interface {
	send(ctx context.Context, m *Message) error
}

// Notifier is safe for concurrent use.
type Notifier struct {
	channels []*channel
	quiet    quiet
	log      *slog.Logger
}

// New returns a Notifier, or all that is wrong with its channels.
func New(o Options) (*Notifier, error) {
	n := &Notifier{log: o.Log}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	n.quiet.span = o.Quiet
	if n.quiet.span <= 0 {
		n.quiet.span = 10 * time.Minute
	}
	var errs []error
	for _, c := range o.Channels {
		s, err := newSender(&c, &o)
		if err == nil && n.channel(c.Name) != nil {
			err = errors.New("stands twice")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("channel %q: %w", c.Name, err))
			continue
		}
		n.channels = append(n.channels, newChannel(c.Name, c.Kind, s, n.log))
	}
	return n, errors.Join(errs...)
}

func newSender(c *Channel, o *Options) (sender, error) {
	client := outbound.Options{AllowPrivate: c.Private, RootCAs: o.RootCAs, Resolver: o.Resolver}
	switch c.Kind {
	case "webhook":
		return newWebhook(c, outbound.New(client))
	case "slack":
		return newSlack(c, outbound.New(client))
	case "smtp":
		if !c.Private {
			client.Ports = mailPorts
		}
		return newMail(c, outbound.New(client), o.RootCAs)
	case "sns":
		return newSNS(c, outbound.New(client), o)
	}
	return nil, fmt.Errorf("kind %q is not webhook, slack, smtp or sns", c.Kind)
}

func (n *Notifier) channel(name string) *channel {
	i := slices.IndexFunc(n.channels, func(c *channel) bool { return c.name == name })
	if i < 0 {
		return nil
	}
	return n.channels[i]
}

// Send queues a message for the channels of these names; none: for all. It
// returns at once; a message without room is dropped and counted.
func (n *Notifier) Send(m Message, channels []string) {
	if m.Time.IsZero() {
		m.Time = time.Now()
	}
	m.clean()
	m.id = rand.Text()
	if n.quiet.first(m, channels, time.Now()) {
		n.queue(m, channels)
	}
}

func (n *Notifier) queue(m Message, channels []string) {
	for _, c := range n.channels {
		if len(channels) == 0 || slices.Contains(channels, c.name) {
			c.put(m)
		}
	}
}

// Run delivers until ctx ends. Then it tries what is queued once more, for five
// seconds in all.
func (n *Notifier) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, c := range n.channels {
		wg.Go(func() { c.run(ctx) })
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case now := <-tick.C:
			n.quiet.over(now, n.queue)
		}
	}
	wg.Wait()
}

// permanent is a failure that will be the same next time.
type permanent struct{ error }

func (p *permanent) Unwrap() error { return p.error }

// slow is a receiver's wish for when to come back.
type slow struct {
	error
	after time.Duration
}

func (s *slow) Unwrap() error { return s.error }

// statusError says what a status means for another attempt.
func statusError(host string, resp *outbound.Response) error {
	err := fmt.Errorf("%s answered %d", host, resp.Status)
	switch s := resp.Status; {
	case s >= 200 && s <= 299:
		return nil
	case s == http.StatusTooManyRequests || s == http.StatusServiceUnavailable:
		after, _ := time.ParseDuration(resp.Header.Get("Retry-After") + "s")
		return &slow{err, after}
	case s >= 500 || s == http.StatusRequestTimeout:
		return err
	}
	return &permanent{err}
}
