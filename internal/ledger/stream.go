package ledger

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"gatehouse/internal/bedrock/eventstream"
)

// events calls f with each event frame of b, up to the first byte that is none:
// what stands before a cut was delivered and is shown.
func events(b *Body, f func(eventType string, payload []byte)) {
	r := eventstream.NewReader(bytes.NewReader(b.Bytes), 0)
	for {
		frame, err := r.Next()
		if err != nil {
			return
		}
		if frame.MessageType() == eventstream.MessageEvent {
			f(frame.EventType(), frame.Payload)
		}
	}
}

// chunkArray shows the answer of InvokeModelWithResponseStream: an array of
// the native documents in order. What is no JSON document becomes a string, as
// the "[DONE]" of some models.
func chunkArray(b *Body) json.RawMessage {
	out := []byte{'['}
	events(b, func(eventType string, payload []byte) {
		chunk, ok := eventstream.AppendChunkDocument(nil, payload)
		if eventType != "chunk" || !ok {
			return
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		if jsontext.Value(chunk).IsValid() {
			out = append(out, chunk...)
		} else {
			out, _ = jsontext.AppendQuote(out, chunk)
		}
	})
	if len(out) == 1 {
		return nil
	}
	return append(out, ']')
}

// converseOutput shows the answer of ConverseStream: the object that Converse
// would have answered, put together from the events.
func converseOutput(b *Body) json.RawMessage {
	var a assembly
	events(b, a.add)
	if !a.started {
		return nil
	}
	out, err := jsonv2.Marshal(a.output())
	if err != nil {
		return nil
	}
	return out
}

// assembly is a Converse answer in the making.
type assembly struct {
	started bool
	role    string
	blocks  []*block
	stop    messageStop
	meta    metadata
}

// block is one content block. A text block has no contentBlockStart.
type block struct {
	index     int64
	text      []byte
	citations []jsontext.Value
	tool      *toolUse
	input     []byte // of the tool: pieces of one JSON document
	result    *toolResult
	image     *image
	reasoning *reasoning
}

// The payloads of the events, and the pieces of Converse's content blocks that
// are not passed on as they are. Padding and unknown members are dropped.
type (
	event struct {
		Index int64  `json:"contentBlockIndex"`
		Role  string `json:"role"`
		Start struct {
			ToolUse    *toolUse    `json:"toolUse"`
			ToolResult *toolResult `json:"toolResult"`
			Image      *image      `json:"image"`
		} `json:"start"`
		Delta struct {
			Text    string `json:"text"`
			ToolUse *struct {
				Input string `json:"input"`
			} `json:"toolUse"`
			ToolResult []jsontext.Value `json:"toolResult"`
			Citation   jsontext.Value   `json:"citation"`
			Image      *image           `json:"image"`
			Reasoning  *struct {
				Text      string         `json:"text"`
				Signature string         `json:"signature"`
				Redacted  jsontext.Value `json:"redactedContent"`
			} `json:"reasoningContent"`
		} `json:"delta"`
	}
	toolUse struct {
		ID    string         `json:"toolUseId"`
		Name  string         `json:"name"`
		Type  string         `json:"type,omitzero"`
		Input jsontext.Value `json:"input,omitzero"`
	}
	toolResult struct {
		ID      string           `json:"toolUseId"`
		Content []jsontext.Value `json:"content"`
		Status  string           `json:"status,omitzero"`
		Type    string           `json:"type,omitzero"`
	}
	image struct {
		Format string         `json:"format,omitzero"`
		Source jsontext.Value `json:"source,omitzero"`
		Error  jsontext.Value `json:"error,omitzero"`
	}
	reasoning struct {
		Text     *reasoningText `json:"reasoningText,omitzero"`
		Redacted jsontext.Value `json:"redactedContent,omitzero"`
	}
	reasoningText struct {
		Text      string `json:"text"`
		Signature string `json:"signature,omitzero"`
	}
	messageStop struct {
		StopReason string         `json:"stopReason"`
		Additional jsontext.Value `json:"additionalModelResponseFields"`
	}
	metadata struct {
		Metrics     jsontext.Value `json:"metrics"`
		Usage       jsontext.Value `json:"usage"`
		Trace       jsontext.Value `json:"trace"`
		Performance jsontext.Value `json:"performanceConfig"`
		Tier        jsontext.Value `json:"serviceTier"`
	}
)

// add takes one event. A payload that is not as expected is skipped: the
// record is evidence, and one odd frame must not hide the others.
func (a *assembly) add(eventType string, payload []byte) {
	switch eventType {
	case "messageStop":
		a.started = true
		jsonv2.Unmarshal(payload, &a.stop)
		return
	case "metadata":
		a.started = true
		jsonv2.Unmarshal(payload, &a.meta)
		return
	}
	var e event
	if jsonv2.Unmarshal(payload, &e) != nil {
		return
	}
	a.started = true
	switch eventType {
	case "messageStart":
		a.role = e.Role
	case "contentBlockStart":
		b := a.block(e.Index)
		b.tool, b.result, b.image = e.Start.ToolUse, e.Start.ToolResult, e.Start.Image
	case "contentBlockDelta":
		a.block(e.Index).add(&e)
	}
}

// block returns the block of an index, which streams use in rising order.
func (a *assembly) block(index int64) *block {
	i, ok := slices.BinarySearchFunc(a.blocks, index, func(b *block, n int64) int { return cmp.Compare(b.index, n) })
	if !ok {
		a.blocks = slices.Insert(a.blocks, i, &block{index: index})
	}
	return a.blocks[i]
}

func (b *block) add(e *event) {
	d := &e.Delta
	b.text = append(b.text, d.Text...)
	if d.ToolUse != nil {
		b.input = append(b.input, d.ToolUse.Input...)
	}
	if b.result != nil {
		b.result.Content = append(b.result.Content, d.ToolResult...)
	}
	if len(d.Citation) > 0 {
		b.citations = append(b.citations, d.Citation)
	}
	if d.Image != nil {
		b.addImage(d.Image)
	}
	if r := d.Reasoning; r != nil {
		b.addReasoning(r.Text, r.Signature, r.Redacted)
	}
}

func (b *block) addImage(i *image) {
	if b.image == nil {
		b.image = new(image)
	}
	if len(i.Source) > 0 {
		b.image.Source = i.Source
	}
	if len(i.Error) > 0 {
		b.image.Error = i.Error
	}
}

func (b *block) addReasoning(text, signature string, redacted jsontext.Value) {
	if b.reasoning == nil {
		b.reasoning = new(reasoning)
	}
	if len(redacted) > 0 {
		b.reasoning.Redacted = redacted
		return
	}
	if b.reasoning.Text == nil {
		b.reasoning.Text = new(reasoningText)
	}
	b.text = append(b.text, text...)
	b.reasoning.Text.Signature += signature
}

// output is the Converse answer, in the order the log writes it.
func (a *assembly) output() any {
	type message struct {
		Role    string `json:"role"`
		Content []any  `json:"content"`
	}
	var v struct {
		Output struct {
			Message message `json:"message"`
		} `json:"output"`
		StopReason  string         `json:"stopReason,omitzero"`
		Metrics     jsontext.Value `json:"metrics,omitzero"`
		Usage       jsontext.Value `json:"usage,omitzero"`
		Additional  jsontext.Value `json:"additionalModelResponseFields,omitzero"`
		Trace       jsontext.Value `json:"trace,omitzero"`
		Performance jsontext.Value `json:"performanceConfig,omitzero"`
		Tier        jsontext.Value `json:"serviceTier,omitzero"`
	}
	v.Output.Message = message{Role: a.role, Content: make([]any, len(a.blocks))}
	for i, b := range a.blocks {
		v.Output.Message.Content[i] = b.content()
	}
	v.StopReason, v.Additional = a.stop.StopReason, a.stop.Additional
	v.Metrics, v.Usage, v.Trace, v.Performance, v.Tier = a.meta.Metrics, a.meta.Usage, a.meta.Trace, a.meta.Performance, a.meta.Tier
	return v
}

// content is the block as Converse answers it: an object with one member.
func (b *block) content() any {
	switch {
	case b.tool != nil:
		b.tool.Input = b.toolInput()
		return map[string]any{"toolUse": b.tool}
	case b.result != nil:
		return map[string]any{"toolResult": b.result}
	case b.image != nil:
		return map[string]any{"image": b.image}
	case b.reasoning != nil:
		if b.reasoning.Text != nil {
			b.reasoning.Text.Text = string(b.text)
		}
		return map[string]any{"reasoningContent": b.reasoning}
	case len(b.citations) > 0:
		return map[string]any{"citationsContent": struct {
			Content   []any            `json:"content"`
			Citations []jsontext.Value `json:"citations"`
		}{[]any{map[string]any{"text": string(b.text)}}, b.citations}}
	}
	return map[string]any{"text": string(b.text)}
}

// toolInput is the document that the pieces make, or, where the stream was cut
// in the middle of it, what there is of it as a string.
func (b *block) toolInput() jsontext.Value {
	switch {
	case len(b.input) == 0:
		return jsontext.Value("{}")
	case jsontext.Value(b.input).IsValid():
		return b.input
	}
	v, _ := jsontext.AppendQuote(nil, b.input)
	return v
}
