package emulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// Script is a list of rules that decide answers which the word chain would
// otherwise make up. The first rule that matches a call, and is not used up,
// answers it.
type Script struct {
	rules []*scriptRule
}

// Rule is one rule of a script file. What it leaves out is made up as usual.
type Rule struct {
	// When. Empty members match everything.
	Model     string `yaml:"model"`     // glob of the model id as asked
	Operation string `yaml:"operation"` // glob of the operation's name
	Prompt    string `yaml:"prompt"`    // part of the last user message
	Times     int    `yaml:"times"`     // at most so often; 0 is without end

	// What.
	Reasoning  string       `yaml:"reasoning"` // before the text, of Claude
	Text       string       `yaml:"text"`
	Tool       *ScriptTool  `yaml:"tool"`
	StopReason string       `yaml:"stop_reason"` // in Converse's words
	Usage      *ScriptUsage `yaml:"usage"`
	Fault      string       `yaml:"fault"` // as ParseFault reads it; when it comes is for the rule to say
}

// ScriptTool is a tool the answer asks to use, after the text if there is one.
type ScriptTool struct {
	Name  string         `yaml:"name"`
	Input map[string]any `yaml:"input"`
}

// ScriptUsage are token counts to report in place of those counted.
type ScriptUsage struct {
	Input      int64 `yaml:"input_tokens"`
	Output     int64 `yaml:"output_tokens"`
	CacheRead  int64 `yaml:"cache_read_tokens"`
	CacheWrite int64 `yaml:"cache_write_tokens"`
}

type scriptRule struct {
	Rule
	stop  stop
	input []byte // Tool.Input as JSON
	fault *Fault
	used  atomic.Int64
}

// The bounds of a script file.
const (
	maxScript = 1 << 20
	maxRules  = 1000
)

// LoadScript reads a script: YAML, of which JSON is a part, with one key,
// rules, a list of [Rule]. Unknown keys are errors. It reports all that is
// wrong with the rules, not only the first.
func LoadScript(data []byte) (*Script, error) {
	if len(data) > maxScript {
		return nil, fmt.Errorf("script has %d bytes, at most %d are read", len(data), maxScript)
	}
	if err := noAliases(data); err != nil {
		return nil, err
	}
	var file struct {
		Rules []Rule `yaml:"rules"`
	}
	if err := yaml.UnmarshalWithOptions(data, &file, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("script: %w", err)
	}
	if len(file.Rules) > maxRules {
		return nil, fmt.Errorf("script has %d rules, at most %d are read", len(file.Rules), maxRules)
	}
	s, errs := &Script{}, []error(nil)
	for i, r := range file.Rules {
		rule, err := compile(r)
		if err != nil {
			errs = append(errs, fmt.Errorf("script rule %d: %w", i+1, err))
		}
		s.rules = append(s.rules, rule)
	}
	return s, errors.Join(errs...)
}

// noAliases refuses YAML anchors and aliases: a few nested lists of them make a
// small file a huge value, and no script needs any.
func noAliases(data []byte) error {
	for _, t := range lexer.Tokenize(string(data)) {
		if t.Type == token.AnchorType || t.Type == token.AliasType {
			return fmt.Errorf("script: line %d: anchors and aliases are not read; quote a text that begins with & or *", t.Position.Line)
		}
	}
	return nil
}

func compile(r Rule) (*scriptRule, error) {
	out, errs := &scriptRule{Rule: r}, []error(nil)
	out.Reasoning, out.Text = validUTF8(r.Reasoning), validUTF8(r.Text)
	if r.Times < 0 {
		errs = append(errs, errors.New("times is negative"))
	}
	if r.StopReason != "" {
		i := slices.Index(converseStop[:], r.StopReason)
		if i < 0 {
			errs = append(errs, fmt.Errorf("stop_reason %q: want one of %s", r.StopReason, strings.Join(converseStop[:], " ")))
		}
		out.stop = stop(i)
	}
	if u := r.Usage; u != nil && min(u.Input, u.Output, u.CacheRead, u.CacheWrite) < 0 {
		errs = append(errs, errors.New("usage is negative"))
	}
	if r.Tool != nil {
		errs = append(errs, out.compileTool(r.Tool))
	}
	if r.Fault != "" {
		f, err := ParseFault(r.Fault)
		out.fault = &f
		errs = append(errs, err)
	}
	return out, errors.Join(errs...)
}

func (r *scriptRule) compileTool(t *ScriptTool) error {
	if t.Name == "" {
		return errors.New("tool has no name")
	}
	r.input = []byte("{}")
	if t.Input == nil {
		return nil
	}
	input, err := json.Marshal(t.Input)
	if err != nil {
		return fmt.Errorf("tool input: %w", err)
	}
	r.input = input
	return nil
}

// match returns the rule that answers the call, nil when none does, and counts
// its use.
func (s *Script) match(operation, model string, prompt []byte) *scriptRule {
	if s == nil {
		return nil
	}
	for _, r := range s.rules {
		if glob(r.Operation, operation) && glob(r.Model, model) && bytes.Contains(prompt, []byte(r.Prompt)) && r.take() {
			return r
		}
	}
	return nil
}

func (r *scriptRule) take() bool { return r.Times == 0 || r.used.Add(1) <= int64(r.Times) }
