package notify

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"gatehouse/internal/outbound"
)

// slack sends in the format of Slack's incoming webhooks, which others take
// too: text for notifications, blocks for the conversation. In both, <, > and &
// make links and mentions, so they are escaped; verbatim keeps Slack from
// finding more of them.
type slack struct{ hook }

func newSlack(c *Channel, client *outbound.Client) (sender, error) {
	h, err := newHook(c, client)
	return &slack{h}, err
}

// Slack's bounds, in characters; ours are bytes.
const (
	slackHeader  = 150
	slackSection = 3000
	slackField   = 2000
	slackFields  = 10
)

type slackText struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Verbatim bool   `json:"verbatim,omitempty"`
}

type slackBlock struct {
	Type     string      `json:"type"`
	Text     *slackText  `json:"text,omitempty"`
	Fields   []slackText `json:"fields,omitempty"`
	Elements []slackText `json:"elements,omitempty"`
}

func (s *slack) send(ctx context.Context, m *Message) error {
	body, err := json.Marshal(struct {
		Text   string       `json:"text"`
		Blocks []slackBlock `json:"blocks"`
	}{slackEscape(m.Title, slackSection), slackBlocks(m)})
	if err != nil {
		return &permanent{err}
	}
	return s.post(ctx, body, http.Header{})
}

func slackBlocks(m *Message) []slackBlock {
	mrkdwn := func(s string) slackText { return slackText{"mrkdwn", s, true} }
	title := slackText{Type: "plain_text", Text: slackEscape(m.Title, slackHeader)}
	blocks := []slackBlock{{Type: "header", Text: &title}}
	if m.Text != "" {
		t := mrkdwn(slackEscape(m.Text, slackSection))
		blocks = append(blocks, slackBlock{Type: "section", Text: &t})
	}
	var fields []slackText
	for _, f := range m.Fields {
		fields = append(fields, mrkdwn("*"+slackEscape(f.Name, slackField/2)+"*\n"+slackEscape(f.Value, slackField/2)))
	}
	for len(fields) > 0 {
		n := min(len(fields), slackFields)
		blocks, fields = append(blocks, slackBlock{Type: "section", Fields: fields[:n]}), fields[n:]
	}
	foot := slackEscape(m.Kind+" · "+m.level()+" · "+m.Time.UTC().Format("2006-01-02 15:04:05 UTC"), slackField/2)
	if m.Link != "" {
		foot += " · <" + strings.ReplaceAll(m.Link, "&", "&amp;") + "|open>"
	}
	return append(blocks, slackBlock{Type: "context", Elements: []slackText{mrkdwn(foot)}})
}

var slackEscapes = map[rune]string{'&': "&amp;", '<': "&lt;", '>': "&gt;"}

// slackEscape escapes as much of s as fits, and cuts no escape in two.
func slackEscape(s string, max int) string {
	var b strings.Builder
	for _, r := range s {
		e, ok := slackEscapes[r]
		if !ok {
			e = string(r)
		}
		if b.Len()+len(e) > max {
			break
		}
		b.WriteString(e)
	}
	return b.String()
}
