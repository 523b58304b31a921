package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/internal/admin"
	"gatehouse/internal/config"
	"gatehouse/internal/sigv4"
	"gatehouse/internal/sim/emulator"
)

// emulateFlags are the flags of `emulate`.
type emulateFlags struct {
	listen, region, script, ttft   string
	accessKey, secret, credentials string
	rate                           float64
	seed                           uint64
	faults                         []string
	anonymous, control             bool
}

func (p *program) emulateVerb() *cobra.Command {
	var e emulateFlags
	c := verb("emulate", "Run a Bedrock that is not AWS",
		`Answers as Bedrock does, with made-up text, for tests and demonstrations. It takes
the credentials of --access-key and --secret, of --credentials, of
AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or else a pair for
examples.

`+faultHelp+`

--script names a file of rules; the first that matches a call answers it. All keys of
a rule are optional: model, operation (globs) and prompt (a part of the last user
message) say which calls, times how often; reasoning, text, tool, stop_reason, usage
and fault say what:

`+scriptExample,
		exactly(), func(ctx context.Context, _ []string) error { return p.emulate(ctx, &e) })
	f := c.Flags()
	f.StringVar(&e.listen, "listen", "127.0.0.1:8090", "address; loopback only")
	f.StringVar(&e.region, "region", "us-east-1", "region that callers sign for")
	f.StringVar(&e.ttft, "ttft", "0", "time until an answer begins, such as 300ms")
	f.Float64Var(&e.rate, "tokens-per-second", 0, "pace of an answer; 0: at once")
	f.Uint64Var(&e.seed, "seed", 0, "what the made-up text depends on")
	f.StringVar(&e.script, "script", "", "YAML file of scripted answers")
	f.StringArrayVar(&e.faults, "fault", nil, "KIND or KIND:NAME=VALUE,…, such as 429:times=2; repeatable")
	f.StringVar(&e.accessKey, "access-key", "", "access key id that callers sign with")
	f.StringVar(&e.secret, "secret", "", "its secret, which others of this machine can see: --credentials hides it")
	f.StringVar(&e.credentials, "credentials", "", "file with the lines aws_access_key_id = … and aws_secret_access_key = …")
	f.BoolVar(&e.anonymous, "anonymous", false, "accept every request, whoever sent it")
	f.BoolVar(&e.control, "control", false, "serve /_emulator/faults and /_emulator/calls, for tests")
	together(c, "access-key", "secret")
	exclusive(c, "access-key", "credentials")
	c.MarkFlagFilename("script", "yaml", "yml")
	c.MarkFlagFilename("credentials")
	return c
}

func (p *program) emulate(ctx context.Context, e *emulateFlags) error {
	o, err := p.emulatorOptions(e)
	if err != nil {
		return err
	}
	if !config.IsLoopback(e.listen) {
		return usagef("--listen %s: the emulator guards nothing, so that it listens on loopback only: use 127.0.0.1", e.listen)
	}
	ln, err := net.Listen("tcp", e.listen)
	if err != nil {
		return listenError(err, e.listen, "--listen")
	}
	url := "http://" + ln.Addr().String()
	fmt.Fprintf(p.stderr, "ready %s\n%s", url, emulatorBlock(url, o))
	return emulator.Serve(ctx, ln, emulator.New(o))
}

// emulatorBlock is what to paste into another shell. It holds the pair for
// examples; others are their owners' to set.
func emulatorBlock(url string, o emulator.Options) string {
	block := admin.Paste(admin.Info{Endpoint: url, Region: o.Region}, admin.IssuedKey{})
	switch c := o.Credentials[0]; {
	case c.AccessKeyID == exampleKeyID:
		block += "export AWS_ACCESS_KEY_ID=" + exampleKeyID + "\nexport AWS_SECRET_ACCESS_KEY=" + exampleSecret + "\n"
	case c.SessionToken != "": // the environment's: what calls it needs the token too
		block = strings.Replace(block, "unset AWS_SESSION_TOKEN ", "unset ", 1)
	}
	return block
}

// faultHelp lists what --fault takes; a test compares it with the emulator.
const faultHelp = `--fault is a kind of fault and, after a colon, settings by name:
  slow hang redirect headers bytes                    the answer as a whole
  429 429-tokens not-ready quota 403 408 424 500 503  errors of AWS
  cut cut-frame end exception error crc oversize      within a stream
Settings say which calls: model, operation (globs), times, every, probability; and
how: delay, after (deltas of a stream), type, status, retry_after, size, location.
  --fault 429:times=2,retry_after=1s
  --fault slow:delay=2s,every=10,operation=ConverseStream
  --fault exception:after=3,type=modelStreamErrorException,model=anthropic.*`

const scriptExample = `  rules:
    - prompt: weather
      model: anthropic.*
      tool: {name: get_weather, input: {city: Berlin}}
      stop_reason: tool_use
    - operation: ConverseStream
      times: 1
      fault: cut:after=2
    - text: Hello yourself.
      usage: {input_tokens: 10, output_tokens: 3}`

// The pair that the emulator takes when it is given none. It opens nothing but
// an emulator on the loopback interface.
const (
	exampleKeyID  = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// emulatorOptions reports every flag that is wrong.
func (p *program) emulatorOptions(e *emulateFlags) (emulator.Options, error) {
	o := emulator.Options{Region: e.region, TokensPerSecond: e.rate, Seed: e.seed, Padding: true, Anonymous: e.anonymous, Control: e.control}
	var errs []error
	if e.ttft != "0" {
		d, err := config.ParseDuration(e.ttft)
		if err != nil {
			errs = append(errs, usagef("--ttft: %v", err))
		}
		o.TTFT = d
	}
	if e.rate < 0 {
		errs = append(errs, usagef("--tokens-per-second must not be negative: write 0 for no pace"))
	}
	for _, text := range e.faults {
		f, err := emulator.ParseFault(text)
		if err != nil {
			errs = append(errs, usagef("--fault: %v", err))
		}
		o.Faults = append(o.Faults, f)
	}
	if e.script != "" {
		data, err := os.ReadFile(e.script)
		if err == nil {
			o.Script, err = emulator.LoadScript(data)
		}
		if err != nil {
			errs = append(errs, usagef("--script: %v", err))
		}
	}
	c, err := p.emulatorCredential(e)
	if err != nil {
		errs = append(errs, err)
	}
	o.Credentials = []emulator.Credential{c}
	return o, errors.Join(errs...)
}

func (p *program) emulatorCredential(e *emulateFlags) (emulator.Credential, error) {
	if e.accessKey != "" {
		return emulator.Credential{AccessKeyID: e.accessKey, Secret: sigv4.Secret(e.secret)}, nil
	}
	if file := e.credentials; file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return emulator.Credential{}, usagef("--credentials: %v", err)
		}
		c := emulator.Credential{AccessKeyID: setting(string(data), "aws_access_key_id"), Secret: sigv4.Secret(setting(string(data), "aws_secret_access_key"))}
		if c.AccessKeyID == "" || c.Secret == "" {
			return c, usagef("--credentials: %s has no aws_access_key_id and aws_secret_access_key", file)
		}
		return c, nil
	}
	c := emulator.Credential{AccessKeyID: p.getenv("AWS_ACCESS_KEY_ID"), Secret: sigv4.Secret(p.getenv("AWS_SECRET_ACCESS_KEY"))}
	if c.AccessKeyID == "" || c.Secret == "" {
		return emulator.Credential{AccessKeyID: exampleKeyID, Secret: exampleSecret}, nil
	}
	c.SessionToken = sigv4.Secret(p.getenv("AWS_SESSION_TOKEN"))
	return c, nil
}

// setting returns the first value of a key in a credentials file.
func setting(text, key string) string {
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(line, "="); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func (p *program) getenv(name string) string {
	for _, e := range p.env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}
