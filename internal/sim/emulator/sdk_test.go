package emulator

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/auth/bearer"

	"gatehouse/internal/sigv4"
)

const (
	testKey    = "AKIAEXAMPLEEXAMPLE00"
	testSecret = "secretsecret"
)

// transports are the ways an SDK may reach the emulator: over plain HTTP by
// Serve, over TLS by a test server with its certificate.
var transports = map[string]func(t *testing.T, h http.Handler) (url string, client *http.Client){
	"h1": func(t *testing.T, h http.Handler) (string, *http.Client) {
		return startServe(t, h), &http.Client{Transport: &http.Transport{}}
	},
	"h2c": func(t *testing.T, h http.Handler) (string, *http.Client) {
		tr := &http.Transport{Protocols: new(http.Protocols)}
		tr.Protocols.SetUnencryptedHTTP2(true)
		return startServe(t, h), &http.Client{Transport: tr}
	},
	"h2": func(t *testing.T, h http.Handler) (string, *http.Client) {
		srv := httptest.NewUnstartedServer(h)
		srv.EnableHTTP2 = true
		srv.StartTLS()
		t.Cleanup(srv.Close)
		return srv.URL, srv.Client()
	},
}

// startServe runs Serve until the test ends.
func startServe(t *testing.T, h http.Handler) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, ln, h) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return "http://" + ln.Addr().String()
}

// sdkClient is the SDK as a program would have it, but that it waits for
// nothing between attempts.
func sdkClient(url string, client *http.Client, change ...func(*bedrockruntime.Options)) *bedrockruntime.Client {
	o := bedrockruntime.Options{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(url),
		HTTPClient:   client,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret, SessionToken: "TOKENTOKEN"}, nil
		}),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		}),
	}
	for _, f := range change {
		f(&o)
	}
	return bedrockruntime.New(o)
}

// sdkOptions let the SDK in, by the real clock.
func sdkOptions() Options {
	return Options{
		Seed: 1, Padding: true,
		Credentials: []Credential{{AccessKeyID: testKey, Secret: testSecret, SessionToken: "TOKENTOKEN"}},
		BearerKeys:  []sigv4.Secret{"ABSKexample"},
	}
}

func userSays(text string) []types.Message {
	return []types.Message{{Role: types.ConversationRoleUser, Content: []types.ContentBlock{&types.ContentBlockMemberText{Value: text}}}}
}

func TestSDK(t *testing.T) {
	for name, start := range transports {
		t.Run(name, func(t *testing.T) {
			var protocols atomic.Value
			o := sdkOptions()
			o.Arrived = func(r *http.Request, _ []byte) { protocols.Store(r.Proto) }
			url, hc := start(t, New(o))
			c := sdkClient(url, hc)
			t.Run("Converse", func(t *testing.T) { sdkConverse(t, c) })
			t.Run("ConverseStream", func(t *testing.T) { sdkConverseStream(t, c) })
			t.Run("InvokeModel", func(t *testing.T) { sdkInvoke(t, c) })
			t.Run("InvokeModelWithResponseStream", func(t *testing.T) { sdkInvokeStream(t, c) })
			t.Run("CountTokens", func(t *testing.T) { sdkCountTokens(t, c) })
			t.Run("ApplyGuardrail", func(t *testing.T) { sdkApplyGuardrail(t, c) })
			want := map[string]string{"h1": "HTTP/1.1", "h2c": "HTTP/2.0", "h2": "HTTP/2.0"}[name]
			if got := protocols.Load(); got != want {
				t.Errorf("came by %v, want %s", got, want)
			}
		})
	}
}

func sdkConverse(t *testing.T, c *bedrockruntime.Client) {
	out, err := c.Converse(t.Context(), &bedrockruntime.ConverseInput{
		ModelId: aws.String("anthropic.claude-haiku-4-5-20251001-v1:0"), Messages: userSays("hello"),
		InferenceConfig: &types.InferenceConfiguration{MaxTokens: aws.Int32(5)},
	})
	if err != nil {
		t.Fatal(err)
	}
	message := out.Output.(*types.ConverseOutputMemberMessage).Value
	text := message.Content[0].(*types.ContentBlockMemberText).Value
	if tokens(len(text)) != 5 || out.StopReason != types.StopReasonMaxTokens || *out.Usage.OutputTokens != 5 || *out.Usage.TotalTokens != 7 {
		t.Errorf("text %q, stop %s, usage %+v", text, out.StopReason, out.Usage)
	}
}

func sdkConverseStream(t *testing.T, c *bedrockruntime.Client) {
	in := &bedrockruntime.ConverseInput{ModelId: aws.String("us.amazon.nova-lite-v1:0"), Messages: userSays("hello")}
	whole, err := c.Converse(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.ConverseStream(t.Context(), &bedrockruntime.ConverseStreamInput{ModelId: in.ModelId, Messages: in.Messages})
	if err != nil {
		t.Fatal(err)
	}
	text, last := readConverseStream(t, out)
	want := whole.Output.(*types.ConverseOutputMemberMessage).Value.Content[0].(*types.ContentBlockMemberText).Value
	if text != want {
		t.Errorf("streamed %q, whole %q", text, want)
	}
	if last == nil || *last.Usage.OutputTokens != *whole.Usage.OutputTokens {
		t.Errorf("metadata %+v, want usage %+v", last, whole.Usage)
	}
}

// readConverseStream reads the events to the end, which must be a good one.
func readConverseStream(t *testing.T, out *bedrockruntime.ConverseStreamOutput) (string, *types.ConverseStreamMetadataEvent) {
	t.Helper()
	var text strings.Builder
	var last *types.ConverseStreamMetadataEvent
	s := out.GetStream()
	defer s.Close()
	for e := range s.Events() {
		switch e := e.(type) {
		case *types.ConverseStreamOutputMemberContentBlockDelta:
			text.WriteString(e.Value.Delta.(*types.ContentBlockDeltaMemberText).Value)
		case *types.ConverseStreamOutputMemberMetadata:
			last = &e.Value
		}
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return text.String(), last
}

func sdkInvoke(t *testing.T, c *bedrockruntime.Client) {
	out, err := c.InvokeModel(t.Context(), &bedrockruntime.InvokeModelInput{
		ModelId: aws.String("arn:aws:bedrock:us-east-1::foundation-model/meta.llama3-8b-instruct-v1:0"),
		Body:    []byte(`{"prompt":"hello","max_gen_len":3}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if *out.ContentType != "application/json" || !strings.Contains(string(out.Body), `"generation_token_count":3`) {
		t.Errorf("%s: %s", *out.ContentType, out.Body)
	}
}

func sdkInvokeStream(t *testing.T, c *bedrockruntime.Client) {
	out, err := c.InvokeModelWithResponseStream(t.Context(), &bedrockruntime.InvokeModelWithResponseStreamInput{
		ModelId: aws.String("anthropic.claude-3-haiku-20240307-v1:0"),
		Body:    []byte(`{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"hello"}]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := out.GetStream()
	defer s.Close()
	last, n := "", 0
	for e := range s.Events() {
		last = string(e.(*types.ResponseStreamMemberChunk).Value.Bytes)
		n++
	}
	if s.Err() != nil || n < 6 || !strings.Contains(last, `"amazon-bedrock-invocationMetrics":{"inputTokenCount":2,"outputTokenCount":9,`) {
		t.Errorf("%d chunks, error %v, last %s", n, s.Err(), last)
	}
}

func sdkCountTokens(t *testing.T, c *bedrockruntime.Client) {
	for want, input := range map[int32]types.CountTokensInput{
		2: &types.CountTokensInputMemberConverse{Value: types.ConverseTokensRequest{Messages: userSays("hello")}},
		3: &types.CountTokensInputMemberInvokeModel{Value: types.InvokeModelTokensRequest{Body: []byte(`{"prompt":"123456789"}`)}},
	} {
		out, err := c.CountTokens(t.Context(), &bedrockruntime.CountTokensInput{ModelId: aws.String("meta.llama3-8b-instruct-v1:0"), Input: input})
		if err != nil {
			t.Fatal(err)
		}
		if *out.InputTokens != want {
			t.Errorf("%T: %d tokens, want %d", input, *out.InputTokens, want)
		}
	}
}

func sdkApplyGuardrail(t *testing.T, c *bedrockruntime.Client) {
	out, err := c.ApplyGuardrail(t.Context(), &bedrockruntime.ApplyGuardrailInput{
		GuardrailIdentifier: aws.String(DefaultGuardrail.ID), GuardrailVersion: aws.String("DRAFT"), Source: types.GuardrailContentSourceInput,
		Content: []types.GuardrailContentBlock{&types.GuardrailContentBlockMemberText{Value: types.GuardrailTextBlock{Text: aws.String("a guardrail-trigger")}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if out.Action != types.GuardrailActionGuardrailIntervened || *out.Outputs[0].Text != DefaultGuardrail.BlockedInput ||
		*out.Assessments[0].WordPolicy.CustomWords[0].Match != "guardrail-trigger" || *out.Usage.WordPolicyUnits != 1 {
		t.Errorf("%+v", out)
	}
}

// TestSDKRefused holds what the SDK makes of refusals to its documentation:
// typed errors, and three attempts at what may pass.
func TestSDKRefused(t *testing.T) {
	for _, test := range []struct {
		name   string
		faults string
		change func(*bedrockruntime.Options)
		code   string // "" is success
		calls  int32
	}{
		{name: "throttled twice", faults: "429:times=2", calls: 3},
		{name: "throttled", faults: "429-tokens", code: "ThrottlingException", calls: 3},
		{name: "not ready", faults: "not-ready:times=1", code: "ModelNotReadyException", calls: 1}, // the Go SDK does not retry it
		{name: "internal", faults: "500", code: "InternalServerException", calls: 3},
		{name: "unavailable", faults: "503", code: "ServiceUnavailableException", calls: 3},
		{name: "quota", faults: "quota", code: "ServiceQuotaExceededException", calls: 1},
		{name: "model error", faults: "424", code: "ModelErrorException", calls: 1},
		{name: "denied", faults: "403", code: "AccessDeniedException", calls: 1},
		{name: "wrong secret", change: withKey(testKey, "other", "TOKENTOKEN"), code: "InvalidSignatureException", calls: 1},
		{name: "unknown key", change: withKey("AKIANOBODY0000000000", testSecret, "TOKENTOKEN"), code: "UnrecognizedClientException", calls: 1},
		{name: "no token", change: withKey(testKey, testSecret, ""), code: "UnrecognizedClientException", calls: 1},
		{name: "wrong region", change: func(o *bedrockruntime.Options) { o.Region = "eu-west-1" }, code: "InvalidSignatureException", calls: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			var calls atomic.Int32
			o := sdkOptions()
			o.Arrived = func(*http.Request, []byte) { calls.Add(1) }
			if test.faults != "" {
				f, err := ParseFault(test.faults)
				if err != nil {
					t.Fatal(err)
				}
				o.Faults = []Fault{f}
			}
			url, hc := transports["h1"](t, New(o))
			change := test.change
			if change == nil {
				change = func(*bedrockruntime.Options) {}
			}
			_, err := sdkClient(url, hc, change).Converse(t.Context(), &bedrockruntime.ConverseInput{
				ModelId: aws.String("meta.llama3-8b-instruct-v1:0"), Messages: userSays("hello"),
			})
			var api smithy.APIError
			code := ""
			if errors.As(err, &api) {
				code = api.ErrorCode()
			}
			if code != test.code || (err == nil) != (test.code == "") || calls.Load() != test.calls {
				t.Errorf("error %v, %d calls; want %q, %d", err, calls.Load(), test.code, test.calls)
			}
		})
	}
}

func withKey(id, secret, token string) func(*bedrockruntime.Options) {
	return func(o *bedrockruntime.Options) {
		o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token}, nil
		})
	}
}

// TestSDKStreamFaults: an exception or a spoilt frame is an error to the SDK, but
// a stream that ends too early is not, even with its connection broken.
func TestSDKStreamFaults(t *testing.T) {
	for faults, want := range map[string]string{
		"exception:after=2": "ThrottlingException",
		"exception:after=2,type=modelStreamErrorException":   "ModelStreamErrorException",
		"exception:after=2,type=serviceUnavailableException": "ServiceUnavailableException",
		"error:after=2":     "InternalFailure",
		"crc:after=2":       "message checksum mismatch",
		"cut:after=2":       "",
		"cut-frame:after=2": "",
		"end:after=2":       "",
	} {
		t.Run(faults, func(t *testing.T) {
			f, err := ParseFault(faults)
			if err != nil {
				t.Fatal(err)
			}
			o := sdkOptions()
			o.Faults = []Fault{f}
			url, hc := transports["h1"](t, New(o))
			out, err := sdkClient(url, hc).ConverseStream(t.Context(), &bedrockruntime.ConverseStreamInput{
				ModelId: aws.String("meta.llama3-8b-instruct-v1:0"), Messages: userSays("hello"),
			})
			if err != nil {
				t.Fatal(err)
			}
			s := out.GetStream()
			defer s.Close()
			deltas := 0
			for e := range s.Events() {
				if _, ok := e.(*types.ConverseStreamOutputMemberContentBlockDelta); ok {
					deltas++
				}
			}
			got := ""
			if s.Err() != nil {
				got = s.Err().Error()
			}
			if deltas != 2 || (got == "") != (want == "") || !strings.Contains(got, want) {
				t.Errorf("%d deltas, error %q; want 2, %q", deltas, got, want)
			}
		})
	}
}

// TestSDKBearer: an API key in place of a signature, which the SDK sends over
// TLS only.
func TestSDKBearer(t *testing.T) {
	url, hc := transports["h2"](t, New(sdkOptions()))
	for key, code := range map[string]string{"ABSKexample": "", "ABSKother": "AccessDeniedException"} {
		c := sdkClient(url, hc, func(o *bedrockruntime.Options) {
			o.BearerAuthTokenProvider = bearer.StaticTokenProvider{Token: bearer.Token{Value: key}}
			o.AuthSchemePreference = []string{"httpBearerAuth"}
		})
		_, err := c.Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String("meta.llama3-8b-instruct-v1:0"), Messages: userSays("hello")})
		var api smithy.APIError
		if errors.As(err, &api) && api.ErrorCode() != code || err == nil && code != "" {
			t.Errorf("%s: %v, want %q", key, err, code)
		}
	}
}

// TestServeTLS: on a TLS listener that offers h2, Serve speaks it.
func TestServeTLS(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	cert.Close()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: cert.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, ln, New(Options{Anonymous: true})) }()
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	resp, err := (&http.Client{Transport: tr}).Get("https://" + ln.Addr().String() + "/foundation-models")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || resp.ProtoMajor != 2 {
		t.Errorf("%d over %s, want 200 over HTTP/2.0", resp.StatusCode, resp.Proto)
	}
	tr.CloseIdleConnections()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
