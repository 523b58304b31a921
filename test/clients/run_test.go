package clients_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"gatehouse/test/process"
)

// credential is one way of proving oneself; the other fields are empty.
type credential struct {
	keyID, secret string
	bearer        string
}

// credential makes a user and what the scheme needs of it.
func (h *house) credential(t *testing.T, at *site, scheme, user string) credential {
	t.Helper()
	if strings.HasPrefix(scheme, "token") {
		return credential{bearer: login(t, at, user+"@example.com")}
	}
	k, err := process.CreateKey(t.Context(), h.bin, at.data, user)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(scheme, "api-key") {
		return credential{bearer: k.APIKey}
	}
	return credential{keyID: k.AccessKeyID, secret: k.SecretAccessKey}
}

// login registers a user of the chat API and returns a login token.
func login(t *testing.T, at *site, email string) string {
	t.Helper()
	body, _ := json.Marshal(map[string]string{"email": email, "password": "Test@Pass*1239-lake"})
	var answer struct{ Token string }
	for _, path := range []string{"/v1/auth/user/register", "/v1/auth/user/login"} {
		resp, err := at.client(t).Post(at.url+path, "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		data, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
			t.Fatalf("%s: %s %s", path, resp.Status, data)
		}
		if err := json.Unmarshal(data, &answer); err != nil {
			t.Fatal(err)
		}
	}
	return answer.Token
}

// client is an HTTP client that trusts the site's own authority.
func (s *site) client(t *testing.T) *http.Client {
	t.Helper()
	if s.ca == "" {
		return http.DefaultClient
	}
	pem, err := os.ReadFile(s.ca)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
}

// environment is all that a client is given: no file of the user's home, no
// variable of ours.
func environment(s *site, c credential, model string) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.data,
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_REGION=" + region, "AWS_DEFAULT_REGION=" + region,
		"AWS_ENDPOINT_URL_BEDROCK_RUNTIME=" + s.url, "AWS_ENDPOINT_URL_BEDROCK=" + s.url,
		"ANTHROPIC_BEDROCK_BASE_URL=" + s.url,
		"GATEHOUSE_TEST_MODEL=" + model, "GATEHOUSE_TEST_PROMPT=" + prompt,
		"NODE_NO_WARNINGS=1",
	}
	if c.bearer != "" {
		env = append(env, "AWS_BEARER_TOKEN_BEDROCK="+c.bearer)
	} else {
		env = append(env, "AWS_ACCESS_KEY_ID="+c.keyID, "AWS_SECRET_ACCESS_KEY="+c.secret)
	}
	if s.ca != "" {
		env = append(env, "AWS_CA_BUNDLE="+s.ca, "NODE_EXTRA_CA_CERTS="+s.ca)
	}
	return env
}

// patience is how long a client may take, its waits between attempts included.
const patience = 3 * time.Minute

// program runs one of the client programs, which print a line an operation.
func program(ctx context.Context, s *site, c credential, model string, operations []string, name string, args ...string) ([]result, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, append(args, operations...)...)
	cmd.Env = environment(s, c, model)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s%s", name, err, stderr.Bytes(), out)
	}
	var results []result
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var r result
		if err := d.Decode(&r); err != nil {
			return nil, fmt.Errorf("%s printed %q: %w", name, out, err)
		}
		results = append(results, r)
	}
	return results, nil
}

func runPython(ctx context.Context, s *site, c credential, model string, operations []string) ([]result, error) {
	return program(ctx, s, c, model, operations, "python/.venv/bin/python", "python/client.py")
}

func runJS(file string) func(context.Context, *site, credential, string, []string) ([]result, error) {
	return func(ctx context.Context, s *site, c credential, model string, operations []string) ([]result, error) {
		return program(ctx, s, c, model, operations, "node", "js/"+file)
	}
}

func runGo(ctx context.Context, s *site, c credential, model string, operations []string) ([]result, error) {
	bin, err := filepath.Abs("../../bin/goclient")
	if err != nil {
		return nil, err
	}
	return program(ctx, s, c, model, operations, bin)
}

// native is a body of Anthropic's messages, the one that the models here take.
func native() string {
	b, _ := json.Marshal(map[string]any{
		"anthropic_version": "bedrock-2023-05-31", "max_tokens": 64,
		"messages": []any{map[string]any{"role": "user", "content": prompt}},
	})
	return string(b)
}

func messages() string {
	b, _ := json.Marshal([]any{map[string]any{"role": "user", "content": []any{map[string]any{"text": prompt}}}})
	return string(b)
}

// answer is the union of the answers that the command line clients print.
type answer struct {
	Output struct {
		Message struct{ Content []struct{ Text string } }
	}
	Content    []struct{ Text string } // native
	StopReason string                  `json:"stopReason"`
	Stop       string                  `json:"stop_reason"`
	Usage      struct {
		InputTokens  int `json:"inputTokens"`
		OutputTokens int `json:"outputTokens"`
		Input        int `json:"input_tokens"`
		Output       int `json:"output_tokens"`
	}
	InputTokens    int `json:"inputTokens"`
	Action         string
	ModelSummaries []json.RawMessage `json:"modelSummaries"`
}

func (r *result) read(data []byte) error {
	var a answer
	if err := json.Unmarshal(data, &a); err != nil {
		return fmt.Errorf("%s printed %q: %w", r.Operation, data, err)
	}
	for _, c := range append(a.Output.Message.Content, a.Content...) {
		r.Text += c.Text
	}
	r.Stop = a.StopReason + a.Stop + a.Action
	r.Input = a.Usage.InputTokens + a.Usage.Input + a.InputTokens
	r.Output = a.Usage.OutputTokens + a.Usage.Output
	r.Models = len(a.ModelSummaries)
	return nil
}

func (r *result) fail(name, message string, status int) {
	r.OK, r.Error = false, &failure{name, message, status}
}

// runCLI runs the AWS CLI once an operation.
func runCLI(ctx context.Context, s *site, c credential, model string, operations []string) ([]result, error) {
	var results []result
	for _, op := range operations {
		r, err := cliOnce(ctx, s, c, model, op)
		if err != nil {
			return results, err
		}
		results = append(results, r)
	}
	return results, nil
}

var cliError = regexp.MustCompile(`An error occurred \((\w+)\)[^:]*: (.*)`)

func cliOnce(ctx context.Context, s *site, c credential, model, op string) (result, error) {
	dir, err := os.MkdirTemp("", "cli")
	if err != nil {
		return result{}, err
	}
	defer os.RemoveAll(dir)
	in, out := filepath.Join(dir, "in.json"), filepath.Join(dir, "out.json")
	if err := os.WriteFile(in, []byte(native()), 0o600); err != nil {
		return result{}, err
	}
	args := map[string][]string{
		"Converse":             {"bedrock-runtime", "converse", "--model-id", model, "--messages", messages(), "--inference-config", "maxTokens=64"},
		"InvokeModel":          {"bedrock-runtime", "invoke-model", "--model-id", model, "--body", "fileb://" + in, out},
		"CountTokens":          {"bedrock-runtime", "count-tokens", "--model-id", model, "--input", `{"converse":{"messages":` + messages() + `}}`},
		"ApplyGuardrail":       {"bedrock-runtime", "apply-guardrail", "--guardrail-identifier", "emulated0001", "--guardrail-version", "DRAFT", "--source", "INPUT", "--content", `[{"text":{"text":"` + prompt + `"}}]`},
		"ListFoundationModels": {"bedrock", "list-foundation-models"},
	}[op]
	cmd := exec.CommandContext(ctx, "python/.venv/bin/aws", append(args, "--output", "json")...)
	cmd.Env = environment(s, c, model)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	r := result{Operation: op, OK: true}
	if err := cmd.Run(); err != nil {
		m := cliError.FindStringSubmatch(stderr.String())
		if m == nil {
			return r, fmt.Errorf("aws %s: %w\n%s", args[1], err, stderr.Bytes())
		}
		r.fail(m[1], m[2], 0)
		return r, nil
	}
	data := stdout.Bytes()
	if op == "InvokeModel" {
		if data, err = os.ReadFile(out); err != nil {
			return r, err
		}
	}
	return r, r.read(data)
}

// runCurl runs curl once an operation.
func runCurl(ctx context.Context, s *site, c credential, model string, operations []string) ([]result, error) {
	var results []result
	for _, op := range operations {
		r, err := curlOnce(ctx, s, c, model, op)
		if err != nil {
			return results, err
		}
		results = append(results, r)
	}
	return results, nil
}

func curlOnce(ctx context.Context, s *site, c credential, model, op string) (result, error) {
	encoded := strings.ReplaceAll(model, ":", "%3A")
	converse := `{"messages":` + messages() + `,"inferenceConfig":{"maxTokens":64}}`
	request := map[string]struct{ path, body string }{
		"Converse":                      {"/model/" + encoded + "/converse", converse},
		"ConverseStream":                {"/model/" + encoded + "/converse-stream", converse},
		"InvokeModel":                   {"/model/" + encoded + "/invoke", native()},
		"InvokeModelWithResponseStream": {"/model/" + encoded + "/invoke-with-response-stream", native()},
		"CountTokens":                   {"/model/" + encoded + "/count-tokens", `{"input":{"converse":{"messages":` + messages() + `}}}`},
		"ApplyGuardrail":                {"/guardrail/emulated0001/version/DRAFT/apply", `{"source":"INPUT","content":[{"text":{"text":"` + prompt + `"}}]}`},
		"ListFoundationModels":          {"/foundation-models", ""},
	}[op]
	head, err := os.CreateTemp("", "curl")
	if err != nil {
		return result{}, err
	}
	defer os.Remove(head.Name())
	defer head.Close()
	args := []string{"-sS", "-D", head.Name(), s.url + request.path}
	if request.body != "" {
		args = append(args, "-H", "Content-Type: application/json", "--data-binary", request.body)
	}
	if c.bearer != "" {
		args = append(args, "-H", "Authorization: Bearer "+c.bearer)
	} else {
		args = append(args, "--aws-sigv4", "aws:amz:"+region+":bedrock", "--user", c.keyID+":"+c.secret)
	}
	if s.ca != "" {
		args = append(args, "--cacert", s.ca)
	}
	cmd := exec.CommandContext(ctx, "curl", args...)
	cmd.Env = environment(s, c, model)
	out, err := cmd.Output()
	if err != nil {
		if ee, ok := errors.AsType[*exec.ExitError](err); ok {
			return result{}, fmt.Errorf("curl: %w\n%s", err, ee.Stderr)
		}
		return result{}, err
	}
	text, err := io.ReadAll(head)
	if err != nil {
		return result{}, err
	}
	text = bytes.Replace(text, []byte("HTTP/2 "), []byte("HTTP/2.0 "), 1) // curl's spelling
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(text)), nil)
	if err != nil {
		return result{}, fmt.Errorf("curl: header: %w", err)
	}
	return readAnswer(op, resp.StatusCode, resp.Header, out)
}

func readAnswer(op string, status int, header http.Header, body []byte) (result, error) {
	r := result{Operation: op, OK: true}
	if status != http.StatusOK {
		code, _, _ := strings.Cut(header.Get("x-amzn-ErrorType"), ":")
		r.fail(code, string(body), status)
		return r, nil
	}
	if header.Get("Content-Type") == "application/vnd.amazon.eventstream" {
		return r, r.readFrames(body)
	}
	return r, r.read(body)
}

// readFrames reads a stream with the decoder of AWS's own SDK.
func (r *result) readFrames(body []byte) error {
	in, dec := bufio.NewReader(bytes.NewReader(body)), eventstream.NewDecoder()
	for {
		m, err := dec.Decode(in, nil)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", r.Operation, err)
		}
		if e := m.Headers.Get(":exception-type"); e != nil {
			r.fail(e.String(), string(m.Payload), http.StatusOK)
			return nil
		}
		r.Events++
		if err := r.frame(m.Payload); err != nil {
			return err
		}
	}
}

// frame reads one event of either stream operation.
func (r *result) frame(payload []byte) error {
	var chunk struct{ Bytes string }
	if err := json.Unmarshal(payload, &chunk); err != nil {
		return err
	}
	if chunk.Bytes != "" {
		inner, err := base64.StdEncoding.DecodeString(chunk.Bytes)
		if err != nil {
			return err
		}
		payload = inner
	}
	var e struct {
		Delta struct {
			Text string
			Stop string `json:"stop_reason"`
		}
		StopReason string `json:"stopReason"`
		Message    struct{ Usage usage }
		Usage      usage
	}
	if err := json.Unmarshal(payload, &e); err != nil {
		return err
	}
	r.Text += e.Delta.Text
	r.Stop += e.StopReason + e.Delta.Stop
	r.Input += e.Message.Usage.Native + e.Usage.In
	r.Output = max(r.Output, e.Usage.NativeOut, e.Usage.Out)
	return nil
}

type usage struct {
	In        int `json:"inputTokens"`
	Out       int `json:"outputTokens"`
	Native    int `json:"input_tokens"`
	NativeOut int `json:"output_tokens"`
}

// countCalls counts the lines of an export that are of the user and model.
func countCalls(t *testing.T, export []byte, user, model string) int {
	t.Helper()
	n := 0
	for line := range bytes.Lines(export) {
		var e struct {
			Identity struct{ ARN string }
			ModelID  string `json:"modelId"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("journal export printed %q: %v", line, err)
		}
		if strings.HasSuffix(e.Identity.ARN, "/"+user) && strings.HasSuffix(e.ModelID, model) {
			n++
		}
	}
	return n
}
