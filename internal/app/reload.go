package app

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/alarm"
	"gatehouse/internal/config"
)

// watchEvery is how often the files of the configuration are looked at. A
// change takes effect within two of these: it must be there twice, so that no
// half-written file is read.
const watchEvery = 500 * time.Millisecond

// retryEvery is how often a configuration that was wrong is tried again: seldom,
// since all of its rules are compiled each time.
const retryEvery = 5 * time.Second

// watch reloads the configuration when one of its files changes, or somebody
// asks.
func (s *server) watch(ctx context.Context) {
	if s.o.Load == nil {
		return
	}
	tick, again := time.NewTicker(watchEvery), time.NewTicker(retryEvery)
	defer tick.Stop()
	defer again.Stop()
	w := watched{loaded: s.fingerprint()}
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.o.Reload:
			s.reload(ctx)
			w = watched{loaded: s.fingerprint()}
		case <-tick.C:
			if w.settled(s.fingerprint()) {
				s.reload(ctx)
				w = watched{loaded: s.fingerprint()}
			}
		case <-again.C:
			if s.unfinished() {
				s.reload(ctx)
				w = watched{loaded: s.fingerprint()}
			}
		}
	}
}

// unfinished reports that the last reload failed: the files of the configuration
// that is not in force are not known, so it is simply tried again.
func (s *server) unfinished() bool {
	e := s.data.reloadError.Load()
	return e != nil && *e != ""
}

// watched remembers what files looked like when they were loaded, and at the
// last look.
type watched struct{ loaded, last string }

// settled reports whether the files have changed and stay as they are now.
func (w *watched) settled(now string) bool {
	settled := now != w.loaded && now == w.last
	w.last = now
	return settled
}

// fingerprint is what the files look like from outside. A new name for a file,
// as editors and secret stores make it, changes it too.
func (s *server) fingerprint() string {
	var b strings.Builder
	for _, name := range append(s.data.settings.Load().config.Files(), s.o.File) {
		if fi, err := os.Stat(name); err == nil {
			fmt.Fprintln(&b, name, fi.Size(), fi.ModTime().UnixNano(), reflect.ValueOf(fi.Sys()).Elem().FieldByName("Ino"))
		} else {
			fmt.Fprintln(&b, name, "missing")
		}
	}
	return b.String()
}

// reload puts the configuration as it is now in force, or keeps the old one
// whole and says what is wrong with the new.
func (s *server) reload(ctx context.Context) {
	c, err := s.o.Load()
	if err == nil {
		err = s.apply(ctx, c)
	}
	if again := s.reloaded(err); err != nil {
		if !again {
			s.log.Error("configuration not reloaded: the old one stays in force", "err", err)
		}
		return
	}
	s.log.Info("configuration reloaded")
}

// reloaded remembers how the last reload went, and reports whether the one
// before went the same way.
func (s *server) reloaded(err error) (again bool) {
	message := ""
	if err != nil {
		message = err.Error()
	}
	before := s.data.reloadError.Swap(&message)
	return before != nil && *before == message
}

// apply replaces what can be replaced while calls are served. All of it is
// built before any of it is in force.
func (s *server) apply(ctx context.Context, c *config.Config) error {
	models, err := modelTable(c)
	if err != nil {
		return err
	}
	rules, err := newRules(c, models, guardrail(s.upstream, c.Guard.ApplyBedrockGuardrail))
	if err != nil {
		return err
	}
	bodies, err := recordPolicy(c)
	if err != nil {
		return err
	}
	notifier, err := newNotifier(c, s.notifyOptions())
	if err != nil {
		return err
	}
	verifier, err := newVerifier(c, s.issuers.verifier.Load(), s.log)
	if err != nil {
		return err
	}
	alarms := alarmTable(c)
	if _, err := alarm.New(alarm.Options{Alarms: alarms}); err != nil {
		return err
	}
	if err := s.data.limits.Replace(limitTable(c)); err != nil { // changes nothing then
		return err
	}
	if err := s.watchers.alarms.Replace(alarms); err != nil {
		return err
	}
	if err := s.data.recorder.SetPolicy(bodies); err != nil {
		return err
	}
	s.watchers.replace(ctx, c, notifier)
	s.issuers.replace(ctx, verifier)
	old := s.data.settings.Swap(&settings{c, models})
	s.gateway.SetRules(rules)
	if keys := needRestart(old.config, c); len(keys) > 0 {
		s.log.Warn("these keys hold after a restart", "keys", strings.Join(keys, ", "))
	}
	return nil
}

// reloadable are the keys that hold at once.
var reloadable = []string{"limits", "prices", "profiles", "policy", "network", "guard", "record", "oidc", "alarms", "notify", "mode"}

// needRestart lists the keys that differ and do not hold at once.
func needRestart(a, b *config.Config) (keys []string) {
	x, y := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	for i := range x.NumField() {
		key, _, _ := strings.Cut(x.Type().Field(i).Tag.Get("json"), ",")
		if !slices.Contains(reloadable, key) && !reflect.DeepEqual(x.Field(i).Interface(), y.Field(i).Interface()) {
			keys = append(keys, key)
		}
	}
	return keys
}
