package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"gatehouse/internal/call"
	"gatehouse/internal/store"
)

const (
	maxPrompt   = 64 << 10 // bytes of a chat body
	maxResponse = 16 << 20 // bytes of a whole Converse answer
	saveTimeout = 5 * time.Second
)

// Chat asks the model.
func (a *API) Chat(w http.ResponseWriter, r *http.Request) {
	if _, ref := a.o.Tokens.Token(r); ref != nil {
		a.refuse(w, r, errToken, ref)
		return
	}
	in, ok := a.body(w, r, maxPrompt, 1, "prompt")
	if !ok {
		return
	}
	if strings.TrimSpace(in[0]) == "" {
		a.malformed(w, r, "The prompt is empty")
		return
	}
	if acceptsEvents(r.Header) {
		a.stream(w, r, in[0])
		return
	}
	a.whole(w, r, in[0])
}

func acceptsEvents(h http.Header) bool {
	for _, v := range h["Accept"] {
		for t := range strings.SplitSeq(v, ",") {
			t, _, _ = strings.Cut(t, ";")
			if strings.EqualFold(strings.TrimSpace(t), "text/event-stream") {
				return true
			}
		}
	}
	return false
}

// whole answers with one JSON object.
func (a *API) whole(w http.ResponseWriter, r *http.Request, prompt string) {
	answer := &buffer{header: make(http.Header), outer: http.NewResponseController(w)}
	a.converseWith(answer, r, a.converse, prompt)
	copyHeaders(w.Header(), answer.header)
	if answer.status != http.StatusOK {
		problemOf(answer.status, answer.header, answer.body.Bytes()).write(w)
		return
	}
	text, ok := textOf(answer.body.Bytes())
	if !ok || answer.overflow {
		a.o.Log.Error("chat: the gateway's answer is not a Converse response")
		errUnavailable.write(w)
		return
	}
	write(w, http.StatusOK, struct {
		Prompt   string `json:"prompt"`
		Response string `json:"response"`
		quota
	}{prompt, text, quotaOf(answer.header)})
}

// converseWith calls the gateway as the caller, and keeps the prompt once the
// call has been admitted.
func (a *API) converseWith(w http.ResponseWriter, r *http.Request, path, prompt string) {
	var admitted store.Prompt
	ctx := a.o.Observe(r.Context(), func(c *call.Call) {
		admitted = store.Prompt{UserID: c.Principal.UserID, CallID: c.ID, Time: c.Time, Text: prompt}
	})
	defer func() {
		if admitted.CallID != "" {
			a.save(r.Context(), admitted)
		}
	}()
	a.o.Gateway.ServeHTTP(w, a.request(ctx, r, path, prompt))
}

// save keeps a prompt also when the caller has gone. Failing to is no reason
// to withhold the answer: the journal has the call.
func (a *API) save(ctx context.Context, p store.Prompt) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	if err := a.o.Accounts.SavePrompt(ctx, p); err != nil {
		a.o.Log.Error("chat: prompt not kept", "call", p.CallID, "err", err)
	}
}

// passed are the headers that say who asks and from where.
var passed = []string{"Authorization", "User-Agent", "X-Forwarded-For"}

// request is the Converse call. It shares the outer one's connection, address
// and host, and nothing else of its head but the headers in passed.
func (a *API) request(ctx context.Context, r *http.Request, path, prompt string) *http.Request {
	body := []byte(`{"messages":[{"role":"user","content":[{"text":`)
	body, err := jsontext.AppendQuote(body, prompt)
	if err != nil { // a strictly parsed string is valid UTF-8
		panic(err)
	}
	body = append(body, `}]}],"inferenceConfig":{"maxTokens":`...)
	body = append(strconv.AppendInt(body, int64(a.o.MaxTokens), 10), `}}`...)

	in := r.Clone(ctx)
	in.Method, in.RequestURI = http.MethodPost, path
	in.URL = &url.URL{Path: path, RawPath: path}
	in.Header = http.Header{"Content-Type": {"application/json"}}
	for _, name := range passed {
		if v := r.Header[name]; v != nil {
			in.Header[name] = v
		}
	}
	in.TransferEncoding, in.Trailer, in.Form, in.PostForm = nil, nil, nil, nil
	in.Body, in.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return in
}

// textOf joins the text of a Converse response.
func textOf(body []byte) (string, bool) {
	var v struct {
		Output struct {
			Message struct {
				Content []struct {
					Text string `json:"text"`
				} `json:"content"`
			} `json:"message"`
		} `json:"output"`
	}
	if json.Unmarshal(body, &v) != nil {
		return "", false
	}
	var b strings.Builder
	for _, c := range v.Output.Message.Content {
		b.WriteString(c.Text)
	}
	return b.String(), true
}

// copied are the headers of the call that its caller may see.
var copied = []string{
	"X-Amzn-Requestid", "X-Gatehouse-Call-Id", "X-Gatehouse-Cost", "Ratelimit", "Ratelimit-Policy",
	"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset", "Retry-After", "X-Amz-Retry-After", "Retry-After-Ms", "Connection",
}

func copyHeaders(dst, src http.Header) {
	for _, name := range copied {
		if v := src[name]; v != nil {
			dst[name] = v
		}
	}
}

// problemOf translates a refusal in Bedrock's dialect.
func problemOf(status int, h http.Header, body []byte) *problem {
	kind, namespace, _ := strings.Cut(h.Get("X-Amzn-Errortype"), ":")
	authLayer := strings.Contains(namespace, "coral.service")
	switch {
	case kind == "ServiceQuotaExceededException" && quotaOf(h).left():
		return &problem{Message: "You have used up what you may spend. Try again later", Code: "quota_exceeded", status: http.StatusTooManyRequests, quota: quotaOf(h)}
	case kind == "ServiceQuotaExceededException":
		return &problem{Message: "You have used up your queries of the day. Try again tomorrow", Code: "quota_exceeded", status: http.StatusTooManyRequests, quota: spent(quotaOf(h))}
	case status == http.StatusTooManyRequests:
		return &problem{Message: "Too many requests. Try again shortly", Code: "rate_limited", status: status, quota: quotaOf(h)}
	case authLayer && status < 500:
		return errToken
	case status == http.StatusRequestEntityTooLarge:
		return &problem{Message: "The prompt is too large", Code: "too_large", status: status}
	case status == http.StatusForbidden:
		return &problem{Message: "You may not ask this model", Code: "not_allowed", status: http.StatusBadRequest}
	case status == http.StatusBadRequest:
		return &problem{Message: messageOf(body), Code: "invalid_request", status: status}
	}
	return errUnavailable
}

func messageOf(body []byte) string {
	var v struct{ Message string } // matches "message" too
	if json.Unmarshal(body, &v) != nil || v.Message == "" {
		return "The request was refused"
	}
	return v.Message
}
