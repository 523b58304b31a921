package guard

import (
	"encoding/json"
	"testing"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/call"
	"gatehouse/internal/strictjson"
)

// callOf makes a call with this body, as reading would leave it.
func callOf(t testing.TB, family, body string) *call.Call {
	t.Helper()
	c := &call.Call{Family: bedrock.FamilyOf(family), Doc: &strictjson.Document{}, Body: []byte(body)}
	if c.Family == nil {
		t.Fatalf("no family %s", family)
	}
	if err := c.Doc.Parse(c.Body, strictjson.Options{}); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	c.Family.Walk(c.Doc, func(class bedrock.Class, n strictjson.Node, role string) {
		if role == bedrock.RoleUser && class == bedrock.Text {
			c.LastTurn = append(c.LastTurn, n)
		}
	})
	return c
}

// converse makes a Converse body of one message, whose blocks are texts.
func converse(texts ...string) string {
	type block struct {
		Text string `json:"text"`
	}
	var blocks []block
	for _, s := range texts {
		blocks = append(blocks, block{s})
	}
	b, _ := json.Marshal(map[string]any{"messages": []any{map[string]any{"role": "user", "content": blocks}}})
	return string(b)
}
