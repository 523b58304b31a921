package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/outbound"
)

// mailer sends mail by SMTP. The connection is TLS from the start on port 465;
// on others STARTTLS is required, but for a private server that does not offer
// it and wants no password.
type mailer struct {
	client   *outbound.Client
	server   string // host:port
	host     string
	implicit bool // TLS from the first byte
	private  bool
	tls      *tls.Config
	from     mail.Address
	to       []mail.Address
	auth     smtp.Auth // nil: none
}

var mailPorts = []int{25, 465, 587, 2525}

// maxReplies bounds what a server may say in one session, TLS included.
const maxReplies = 256 << 10

func newMail(c *Channel, client *outbound.Client, roots *x509.CertPool) (sender, error) {
	host, port, err := net.SplitHostPort(c.Server)
	if err != nil || host == "" {
		return nil, fmt.Errorf("server %q is not host:port", c.Server)
	}
	m := &mailer{
		client: client, server: c.Server, host: host, implicit: port == "465", private: c.Private,
		tls: &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, RootCAs: roots},
	}
	if m.from, err = address(c.From); err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	for _, to := range c.To {
		a, err := address(to)
		if err != nil {
			return nil, fmt.Errorf("to: %w", err)
		}
		m.to = append(m.to, a)
	}
	if len(m.to) == 0 {
		return nil, errors.New("to: there is no recipient")
	}
	if c.Username != "" {
		m.auth = smtp.PlainAuth("", c.Username, string(c.Password), host)
	}
	return m, nil
}

// address reads an address that stands in headers and commands as it is.
func address(s string) (mail.Address, error) {
	a, err := mail.ParseAddress(s)
	if err != nil || strings.ContainsFunc(a.Address, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("<>\"(),:;\\", r) }) {
		return mail.Address{}, fmt.Errorf("%q is not a mail address", cut(s, 80))
	}
	a.Name = line(a.Name, maxName)
	return *a, nil
}

func (m *mailer) send(ctx context.Context, msg *Message) error {
	conn, err := m.client.Dial(ctx, m.server)
	if err != nil {
		return err
	}
	defer conn.Close()
	end, _ := ctx.Deadline()
	conn.SetDeadline(end)
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	conn = &talk{conn, maxReplies}
	if m.implicit {
		conn = tls.Client(conn, m.tls)
	}
	if err := m.session(conn, msg); err != nil {
		return mailError(m.host, err)
	}
	return nil
}

// talk is a connection of which only so much is read.
type talk struct {
	net.Conn
	left int
}

var errTalkative = errors.New("the server says too much")

func (t *talk) Read(p []byte) (int, error) {
	if t.left <= 0 {
		return 0, errTalkative
	}
	n, err := t.Conn.Read(p[:min(len(p), t.left)])
	t.left -= n
	return n, err
}

func (m *mailer) session(conn net.Conn, msg *Message) error {
	c, err := smtp.NewClient(conn, m.host)
	if err != nil {
		return err
	}
	if err := c.Hello("localhost"); err != nil {
		return err
	}
	if err := m.secure(c); err != nil {
		return err
	}
	if m.auth != nil {
		if err := c.Auth(m.auth); err != nil {
			return fmt.Errorf("authentication: %w", withoutText(err))
		}
	}
	if err := c.Mail(m.from.Address); err != nil {
		return err
	}
	if err := m.recipients(c); err != nil {
		return err
	}
	if err := m.data(c, msg); err != nil {
		return err
	}
	c.Quit() // it has the message
	return nil
}

func (m *mailer) data(c *smtp.Client, msg *Message) error {
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(m.compose(msg)); err != nil {
		return err
	}
	return w.Close()
}

func (m *mailer) secure(c *smtp.Client) error {
	if m.implicit {
		return nil
	}
	if ok, _ := c.Extension("STARTTLS"); ok {
		return c.StartTLS(m.tls)
	}
	if !m.private || m.auth != nil {
		return &permanent{errors.New("the server offers no STARTTLS")}
	}
	return nil
}

// recipients is content with one that the server takes: a mailbox that is gone
// must not silence an alarm for the others.
func (m *mailer) recipients(c *smtp.Client) error {
	var errs []error
	for _, to := range m.to {
		if err := c.Rcpt(to.Address); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == len(m.to) {
		return errors.Join(errs...)
	}
	return nil
}

// withoutText keeps the code of a reply: what a server says to a password may
// repeat it.
func withoutText(err error) error {
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return &textproto.Error{Code: reply.Code, Msg: "refused"}
	}
	return err
}

// mailError cuts what a server says, and tells replies that will not change.
func mailError(host string, err error) error {
	var reply *textproto.Error
	said := fmt.Errorf("%s: %s", host, line(err.Error(), maxValue))
	if errors.As(err, new(*permanent)) || errors.As(err, &reply) && reply.Code >= 500 {
		return &permanent{said}
	}
	return said
}

// compose writes the mail. What varies is an encoded subject and a
// quoted-printable body, so that no text of a message becomes a header.
func (m *mailer) compose(msg *Message) []byte {
	var b bytes.Buffer
	_, domain, _ := strings.Cut(m.from.Address, "@")
	subject := strings.ReplaceAll(mime.BEncoding.Encode("utf-8", msg.Title), "?= =?", "?=\r\n =?")
	to := make([]string, 0, len(m.to))
	for _, a := range m.to {
		to = append(to, a.String())
	}
	for _, h := range [...][2]string{
		{"From", m.from.String()}, {"To", strings.Join(to, ",\r\n ")}, {"Subject", subject},
		{"Date", msg.Time.UTC().Format(time.RFC1123Z)}, {"Message-ID", "<" + msg.id + "@" + domain + ">"},
		{"Auto-Submitted", "auto-generated"}, {"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"}, {"Content-Transfer-Encoding", "quoted-printable"},
	} {
		b.WriteString(h[0] + ": " + h[1] + "\r\n")
	}
	b.WriteString("\r\n")
	body := quotedprintable.NewWriter(&b)
	body.Write([]byte(msg.plain()))
	body.Close()
	return slices.Clip(b.Bytes())
}
