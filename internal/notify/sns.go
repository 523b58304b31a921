package notify

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"gatehouse/internal/outbound"
	"gatehouse/internal/sigv4"
)

// topic publishes to an SNS topic, by the service's query API: a client of the
// SDK would dial for itself, and only the one request is needed.
type topic struct {
	client      *outbound.Client
	url         *url.URL
	arn, region string
	credentials func(context.Context) (sigv4.Credentials, error)
	signer      sigv4.Signer
}

var (
	topicARN = regexp.MustCompile(`^arn:(aws|aws-cn|aws-us-gov):sns:([a-z]{2}(?:-[a-z]+)+-\d):\d{12}:[A-Za-z0-9_-]{1,256}(?:\.fifo)?$`)
	snsCode  = regexp.MustCompile(`<Code>([A-Za-z0-9.]{1,64})</Code>`)
)

func newSNS(c *Channel, client *outbound.Client, o *Options) (sender, error) {
	match := topicARN.FindStringSubmatch(c.Topic)
	switch {
	case match == nil:
		return nil, fmt.Errorf("topic %q is not the ARN of an SNS topic", cut(c.Topic, 80))
	case o.Credentials == nil:
		return nil, errors.New("there are no AWS credentials")
	}
	endpoint := "https://sns." + match[2] + ".amazonaws.com"
	if match[1] == "aws-cn" {
		endpoint += ".cn"
	}
	if o.SNS != "" {
		endpoint = o.SNS
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, errors.New("endpoint of SNS: malformed URL")
	}
	u.Path = "/"
	t := &topic{client: client, url: u, arn: c.Topic, region: match[2], credentials: o.Credentials}
	return t, client.CheckURL(u)
}

func (t *topic) send(ctx context.Context, m *Message) error {
	credentials, err := t.credentials(ctx)
	if err != nil {
		return errors.New("AWS credentials: none to be had") // the cause is the provider's to log
	}
	body := []byte(t.form(m).Encode())
	req := (&http.Request{Method: http.MethodPost, URL: t.url, Host: t.url.Host, Header: http.Header{}}).WithContext(ctx)
	setBody(req, body)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	req.Header.Set("User-Agent", userAgent)
	t.signer.Sign(&sigv4.Request{
		Method: req.Method, RawPath: "/", Authority: req.Host, Header: req.Header,
		ContentLength: req.ContentLength, PayloadHash: sha256.Sum256(body),
	}, credentials, t.region, "sns", time.Now())
	resp, err := t.client.Do(req)
	if err != nil {
		return err
	}
	return t.verdict(resp)
}

// form is the request. A FIFO topic tells repeats by the id, and keeps the
// order within the group.
func (t *topic) form(m *Message) url.Values {
	f := url.Values{
		"Action": {"Publish"}, "Version": {"2010-03-31"}, "TopicArn": {t.arn},
		"Subject": {snsSubject(m.Title)}, "Message": {m.plain()},
	}
	if strings.HasSuffix(t.arn, ".fifo") {
		f.Set("MessageGroupId", "gatehouse")
		f.Set("MessageDeduplicationId", m.id)
	}
	return f
}

// snsSubject keeps to what SNS has always taken: fewer than 100 characters of
// ASCII, none of them a control character, the first not a space.
func snsSubject(title string) string {
	s := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, title)
	s = strings.TrimSpace(s[:min(len(s), 99)])
	if s == "" {
		return "Gatehouse"
	}
	return s
}

// verdict reads a refusal's code. Throttling and credentials that have just
// expired come as a 4xx, and are worth another attempt.
func (t *topic) verdict(resp *outbound.Response) error {
	err := statusError(t.url.Host, resp)
	match := snsCode.FindSubmatch(resp.Body)
	if err == nil || match == nil {
		return err
	}
	code := string(match[1])
	err = fmt.Errorf("%w: %s", err, code)
	if strings.HasPrefix(code, "Throttl") || code == "ExpiredToken" || code == "RequestExpired" {
		return errors.New(err.Error())
	}
	return err
}
