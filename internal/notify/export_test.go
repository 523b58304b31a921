package notify

import (
	"context"
	"log/slog"
)

// NewFake returns a Notifier with one channel, which calls send.
func NewFake(o Options, send func(ctx context.Context, m *Message) error) *Notifier {
	n, err := New(o)
	if err != nil {
		panic(err)
	}
	n.channels = append(n.channels, newChannel("fake", "fake", fake(send), slog.New(slog.DiscardHandler)))
	return n
}

type fake func(ctx context.Context, m *Message) error

func (f fake) send(ctx context.Context, m *Message) error { return f(ctx, m) }

// Permanent is an error that another attempt does not help.
func Permanent(err error) error { return &permanent{err} }

// The texts that channels send.
var (
	SlackEscape = slackEscape
	SNSSubject  = snsSubject
)

// Compose returns the mail that a channel would send.
func Compose(c Channel, m Message) ([]byte, error) {
	s, err := newSender(&c, &Options{})
	if err != nil {
		return nil, err
	}
	m.clean()
	m.id = "ID"
	return s.(*mailer).compose(&m), nil
}

// ID is the message's, the same for all attempts.
func (m *Message) ID() string { return m.id }
