// Command go drives aws-sdk-go-v2 through one cell of the client matrix an
// argument. Endpoint, region and credentials come from the environment that the
// SDK itself reads, and nothing else about the client is set. It is a module of
// its own, because the control plane's client is no business of Gatehouse's.
//
// Each operation prints one line of JSON:
//
//	{"operation", "ok", "text", "stop", "input", "output", "events", "error"}
//
// where error is {"name", "message", "status"} and text is what had arrived by
// then.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/smithy-go"
)

// line is what one operation prints.
type line struct {
	Operation string  `json:"operation"`
	OK        bool    `json:"ok"`
	Text      string  `json:"text"`
	Stop      string  `json:"stop"`
	Input     int     `json:"input"`
	Output    int     `json:"output"`
	Events    int     `json:"events"`
	Models    int     `json:"models,omitempty"`
	Error     *failed `json:"error,omitempty"`
}

type failed struct {
	Name    string `json:"name"`
	Message string `json:"message"`
	Status  int    `json:"status"`
}

// client holds what the operations share.
type client struct {
	cfg     aws.Config
	runtime *bedrockruntime.Client
	model   *string
	prompt  string
}

var operations = map[string]func(*client, context.Context, *line) error{
	"Converse":                      (*client).converse,
	"ConverseStream":                (*client).converseStream,
	"InvokeModel":                   (*client).invokeModel,
	"InvokeModelWithResponseStream": (*client).invokeModelStream,
	"CountTokens":                   (*client).countTokens,
	"ApplyGuardrail":                (*client).applyGuardrail,
	"ListFoundationModels":          (*client).listModels,
}

func main() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	c := &client{
		cfg:     cfg,
		runtime: bedrockruntime.NewFromConfig(cfg),
		model:   aws.String(os.Getenv("GATEHOUSE_TEST_MODEL")),
		prompt:  os.Getenv("GATEHOUSE_TEST_PROMPT"),
	}
	out := json.NewEncoder(os.Stdout)
	for _, name := range os.Args[1:] {
		l := line{Operation: name, OK: true}
		if err := operations[name](c, ctx, &l); err != nil {
			l.OK, l.Error = false, describe(err)
		}
		out.Encode(l)
	}
}

func describe(err error) *failed {
	f := &failed{Name: "error", Message: err.Error()}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		f.Name, f.Message = api.ErrorCode(), api.ErrorMessage()
	}
	if re, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		f.Status = re.HTTPStatusCode()
	}
	return f
}

func (c *client) messages() []types.Message {
	return []types.Message{{Role: types.ConversationRoleUser, Content: []types.ContentBlock{&types.ContentBlockMemberText{Value: c.prompt}}}}
}

// native is Anthropic's body, the one that the test's model takes.
func (c *client) native() []byte {
	b, _ := json.Marshal(map[string]any{
		"anthropic_version": "bedrock-2023-05-31",
		"max_tokens":        64,
		"messages":          []any{map[string]any{"role": "user", "content": c.prompt}},
	})
	return b
}

func (c *client) converse(ctx context.Context, l *line) error {
	r, err := c.runtime.Converse(ctx, &bedrockruntime.ConverseInput{
		ModelId: c.model, Messages: c.messages(), InferenceConfig: &types.InferenceConfiguration{MaxTokens: aws.Int32(64)},
	})
	if err != nil {
		return err
	}
	for _, b := range r.Output.(*types.ConverseOutputMemberMessage).Value.Content {
		l.Text += b.(*types.ContentBlockMemberText).Value
	}
	l.Stop, l.Input, l.Output = string(r.StopReason), int(*r.Usage.InputTokens), int(*r.Usage.OutputTokens)
	return nil
}

func (c *client) converseStream(ctx context.Context, l *line) error {
	r, err := c.runtime.ConverseStream(ctx, &bedrockruntime.ConverseStreamInput{
		ModelId: c.model, Messages: c.messages(), InferenceConfig: &types.InferenceConfiguration{MaxTokens: aws.Int32(64)},
	})
	if err != nil {
		return err
	}
	stream := r.GetStream()
	defer stream.Close()
	for event := range stream.Events() {
		l.Events++
		switch e := event.(type) {
		case *types.ConverseStreamOutputMemberContentBlockDelta:
			l.Text += e.Value.Delta.(*types.ContentBlockDeltaMemberText).Value
		case *types.ConverseStreamOutputMemberMessageStop:
			l.Stop = string(e.Value.StopReason)
		case *types.ConverseStreamOutputMemberMetadata:
			l.Input, l.Output = int(*e.Value.Usage.InputTokens), int(*e.Value.Usage.OutputTokens)
		}
	}
	return stream.Err()
}

func (c *client) invokeModel(ctx context.Context, l *line) error {
	r, err := c.runtime.InvokeModel(ctx, &bedrockruntime.InvokeModelInput{ModelId: c.model, Body: c.native()})
	if err != nil {
		return err
	}
	var answer struct {
		Content []struct{ Text string }
		Stop    string `json:"stop_reason"`
		Usage   usage
	}
	if err := json.Unmarshal(r.Body, &answer); err != nil {
		return err
	}
	for _, b := range answer.Content {
		l.Text += b.Text
	}
	l.Stop, l.Input, l.Output = answer.Stop, answer.Usage.Input, answer.Usage.Output
	return nil
}

type usage struct {
	Input  int `json:"input_tokens"`
	Output int `json:"output_tokens"`
}

func (c *client) invokeModelStream(ctx context.Context, l *line) error {
	r, err := c.runtime.InvokeModelWithResponseStream(ctx, &bedrockruntime.InvokeModelWithResponseStreamInput{ModelId: c.model, Body: c.native()})
	if err != nil {
		return err
	}
	stream := r.GetStream()
	defer stream.Close()
	for event := range stream.Events() {
		l.Events++
		if err := l.chunk(event.(*types.ResponseStreamMemberChunk).Value.Bytes); err != nil {
			return err
		}
	}
	return stream.Err()
}

// chunk reads one of Anthropic's stream documents.
func (l *line) chunk(data []byte) error {
	var d struct {
		Type    string
		Message struct{ Usage usage }
		Delta   struct {
			Text string
			Stop string `json:"stop_reason"`
		}
		Usage usage
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return err
	}
	switch d.Type {
	case "message_start":
		l.Input = d.Message.Usage.Input
	case "content_block_delta":
		l.Text += d.Delta.Text
	case "message_delta":
		l.Stop, l.Output = d.Delta.Stop, d.Usage.Output
	}
	return nil
}

func (c *client) countTokens(ctx context.Context, l *line) error {
	r, err := c.runtime.CountTokens(ctx, &bedrockruntime.CountTokensInput{
		ModelId: c.model, Input: &types.CountTokensInputMemberConverse{Value: types.ConverseTokensRequest{Messages: c.messages()}},
	})
	if err == nil {
		l.Input = int(*r.InputTokens)
	}
	return err
}

func (c *client) applyGuardrail(ctx context.Context, l *line) error {
	r, err := c.runtime.ApplyGuardrail(ctx, &bedrockruntime.ApplyGuardrailInput{
		GuardrailIdentifier: aws.String("emulated0001"),
		GuardrailVersion:    aws.String("DRAFT"),
		Source:              types.GuardrailContentSourceInput,
		Content:             []types.GuardrailContentBlock{&types.GuardrailContentBlockMemberText{Value: types.GuardrailTextBlock{Text: &c.prompt}}},
	})
	if err == nil {
		l.Stop = string(r.Action)
	}
	return err
}

func (c *client) listModels(ctx context.Context, l *line) error {
	r, err := bedrock.NewFromConfig(c.cfg).ListFoundationModels(ctx, &bedrock.ListFoundationModelsInput{})
	if err == nil {
		l.Models = len(r.ModelSummaries)
	}
	return err
}
