package app

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"

	"gatehouse/guards"
	"gatehouse/internal/alarm"
	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/config"
	"gatehouse/internal/gateway"
	"gatehouse/internal/gateway/guard"
	"gatehouse/internal/gateway/limit"
	"gatehouse/internal/gateway/policy"
	"gatehouse/internal/gateway/read"
	"gatehouse/internal/geo"
	"gatehouse/internal/notify"
)

// Check reports all that is wrong with the files that a configuration names:
// what a start, or a reload, would refuse.
func Check(c *config.Config) error {
	models, err := modelTable(c)
	if err != nil {
		return err
	}
	_, err = newRules(c, models, nil)
	return errors.Join(err, checkRest(c))
}

// CheckParts is Check for what is left of a configuration that has mistakes
// itself. It looks at each file by its own: what one lacks another may have, and
// that one may be the mistake.
func CheckParts(c *config.Config) error {
	models, err := modelTable(c)
	if err != nil {
		return err
	}
	o, unread := policyOptions(c, models)
	_, rules := guardRules(c)
	return errors.Join(unread, checkPolicy(o), rules, checkRest(c))
}

// checkRest looks at all but the rules of the gateway.
func checkRest(c *config.Config) error {
	_, limits := limit.New(limit.Options{Limits: limitTable(c)})
	_, keys := recordPolicy(c)
	_, channels := newNotifier(c, notify.Options{Credentials: (&server{c: c}).notifyOptions().Credentials})
	_, alarms := alarm.New(alarm.Options{Alarms: alarmTable(c)})
	_, issuers := newVerifier(c, nil, slog.New(slog.DiscardHandler))
	return errors.Join(limits, keys, channels, alarms, issuers)
}

// newRules builds the parts of the gateway that a reload replaces, or says all
// that is wrong with their files.
func newRules(c *config.Config, models *model.Table, ask askGuardrail) (*gateway.Rules, error) {
	policies, err := newPolicy(c, models)
	engine, wrong := newGuard(c, ask)
	if err := errors.Join(err, wrong); err != nil {
		return nil, err
	}
	return &gateway.Rules{
		Read:   read.New(read.Options{Models: models, Bound: c.Policy.MaxTokens, MaxBound: c.Policy.MaxBound}),
		Policy: policies, Guard: engine,
	}, nil
}

// newGuard compiles the rules of own files and of packs.
func newGuard(c *config.Config, ask askGuardrail) (*guard.Engine, error) {
	o := guard.Options{Actions: c.Guard.Actions, Observe: c.Mode == observe || c.Guard.Mode == observe, OnError: c.Guard.OnError}
	model, err := guard.ParseModel(guards.Injection)
	if err != nil {
		return nil, err
	}
	o.Scorers = map[string]guard.Scorer{"injection": model}
	if o.Rules, err = guardRules(c); err != nil {
		return nil, err
	}
	if c.Guard.ApplyBedrockGuardrail != "" {
		o.Bedrock = ask
	}
	return guard.New(o)
}

// guardRules reads the rules of own files, which stand first, and of packs.
func guardRules(c *config.Config) (all []guard.Rule, err error) {
	var errs []error
	add := func(name string, text []byte) {
		rules, err := guard.Parse(name, text)
		all, errs = append(all, rules...), append(errs, err)
	}
	for _, name := range c.Guard.Rules {
		text, err := readText(name)
		if errs = append(errs, err); err == nil {
			add(name, []byte(text))
		}
	}
	if slices.Contains(c.Guard.Packs, "default") {
		add("pack default", guards.Default)
	}
	return all, errors.Join(errs...)
}

func newPolicy(c *config.Config, models *model.Table) (*policy.Policy, error) {
	o, err := policyOptions(c, models)
	if err != nil {
		return nil, errors.Join(err, checkPolicy(o))
	}
	return policy.New(o)
}

// policyOptions reads the files of the policy. With an error it has those that
// could be read.
func policyOptions(c *config.Config, models *model.Table) (policy.Options, error) {
	n := c.Network
	o := policy.Options{
		Networks:  policy.Networks{Allow: config.Prefixes(n.Allow), Deny: config.Prefixes(n.Deny)},
		Countries: policy.Countries{Allow: n.Countries.Allow, Deny: n.Countries.Deny},
		Models:    models, Region: c.Region, Observe: c.Mode == observe || c.Policy.Mode == observe,
	}
	var errs []error
	if n.Countries.Database != "" {
		db, err := geo.Open(n.Countries.Database)
		if err != nil {
			errs = append(errs, fmt.Errorf("network.countries.database: %w", err))
		} else {
			o.Geo = db.Country
		}
	}
	for _, name := range c.Policy.Cedar {
		text, err := readText(name)
		if err != nil {
			errs = append(errs, fmt.Errorf("policy.cedar: %w", err))
			continue
		}
		o.Files = append(o.Files, policy.File{Name: name, Text: text})
	}
	return o, errors.Join(errs...)
}

// checkPolicy looks at the files of o only. The one that is missing may be the
// one that permits, or the database of the countries.
func checkPolicy(o policy.Options) error {
	o.Countries = policy.Countries{}
	if len(o.Files) > 0 {
		o.Files = append(o.Files, policy.File{Name: "permit", Text: "permit (principal, action, resource);"})
	}
	_, err := policy.New(o)
	return err
}

// observe is the mode in which something is only noted.
const observe = "observe"

// maxText bounds a file of rules, in bytes.
const maxText = 4 << 20

func readText(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err == nil && len(text) > maxText {
		err = fmt.Errorf("%s is longer than %d MiB", name, maxText>>20)
	}
	return string(text), err
}
