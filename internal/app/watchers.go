package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/alarm"
	"gatehouse/internal/config"
	"gatehouse/internal/gateway/limit"
	"gatehouse/internal/gateway/upstream"
	"gatehouse/internal/metrics"
	"gatehouse/internal/notify"
	"gatehouse/internal/secretfile"
	"gatehouse/internal/sigv4"
)

// watchers look at what the gateway does and tell people: metrics, the alarms
// on them, and the channels that messages go to.
type watchers struct {
	metrics *metrics.Metrics
	alarms  *alarm.Alarms

	name func(key string) string // a bucket's key for people

	mu       sync.Mutex
	notifier *notify.Notifier
	stop     func()              // ends the notifier, after what it has queued
	limits   map[string][]string // channels of a limit's messages; none: all
}

// alarmTable is the shipped alarms with the configured ones added.
func alarmTable(c *config.Config) []alarm.Alarm {
	var own []alarm.Alarm
	off := map[string]bool{}
	for _, a := range c.Alarms {
		off[a.Name] = !a.Enabled
		nano, _ := a.Threshold.Scaled(9) // checked by config
		own = append(own, alarm.Alarm{
			Name: a.Name, Metric: a.Metric, By: a.By, Match: a.Match, Statistic: a.Statistic, Period: time.Duration(a.Period),
			Comparison: a.Comparison, Threshold: float64(nano) / 1e9,
			EvaluationPeriods: int(a.EvaluationPeriods), DatapointsToAlarm: int(a.DatapointsToAlarm), Missing: a.Missing, Channels: a.Notify,
		})
	}
	return slices.DeleteFunc(alarm.Merge(alarm.Shipped, own), func(a alarm.Alarm) bool { return off[a.Name] })
}

// newNotifier makes the channels. Their secrets come from files.
func newNotifier(c *config.Config, o notify.Options) (*notify.Notifier, error) {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(c.Notify)) {
		n := c.Notify[name]
		ch := notify.Channel{
			Name: name, Kind: n.Kind, URL: notify.Secret(n.URL), Server: n.Server, From: n.From, To: n.To,
			Username: n.Username, Topic: n.Topic, Private: n.Private,
		}
		for _, f := range []struct {
			file string
			to   *notify.Secret
		}{{n.URLFile, &ch.URL}, {n.SecretFile, &ch.Key}, {n.PasswordFile, &ch.Password}} {
			if f.file == "" {
				continue
			}
			secret, err := secretfile.Line(f.file)
			if err != nil {
				errs = append(errs, fmt.Errorf("notify.%s: %w", name, err))
			}
			*f.to = notify.Secret(secret)
		}
		o.Channels = append(o.Channels, ch)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return notify.New(o)
}

// notifyOptions are what all notifiers share. Credentials are looked for only
// when a message goes to a topic.
func (s *server) notifyOptions() notify.Options {
	find := sync.OnceValues(func() (upstream.Credentials, error) {
		e, err := withChain(context.Background(), endpoints{name: "messages to SNS"}, s.c.Region)
		return e.credentials, err
	})
	return notify.Options{Log: s.log, Credentials: func(ctx context.Context) (sigv4.Credentials, error) {
		from, err := find()
		if err != nil {
			return sigv4.Credentials{}, err
		}
		return from.Retrieve(ctx)
	}}
}

// newWatchers starts what watches s. It ends with ctx.
func newWatchers(ctx context.Context, s *server) (*watchers, error) {
	w := &watchers{}
	var err error
	if w.alarms, err = alarm.New(alarm.Options{Alarms: alarmTable(s.c), Notify: w.alarm}); err != nil {
		return nil, err
	}
	w.metrics = metrics.New(metrics.Options{
		Limits: s.data.limitTotals, Audit: s.audit, Store: s.data.storeUp, Live: func() int64 { return s.gateway.Live() },
		Samples: []func() []metrics.Sample{s.samples, w.alarms.Samples, w.channels}, Sink: w.alarms, Log: s.log,
	})
	notifier, err := newNotifier(s.c, s.notifyOptions())
	if err != nil {
		return nil, err
	}
	w.replace(ctx, s.c, notifier)
	w.name = s.data.nameOf
	go w.alarms.Run(ctx)
	if s.data.shared != nil {
		go w.watchStore(ctx, s)
	}
	return w, nil
}

// watchStore tells when the shared store of limits stops answering, and when it
// answers again.
func (w *watchers) watchStore(ctx context.Context, s *server) {
	up := true
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := s.data.storeUp(); now != up {
			up = now
			w.store(s.log, up, s.data.shared.State().Last)
		}
	}
}

func (w *watchers) store(log *slog.Logger, up bool, last string) {
	m := notify.Message{Kind: "store", Severity: 7, Title: "The shared store of limits does not answer", Text: "Each limit does what its on_store_error says. " + last, Key: "store down"}
	if up {
		m = notify.Message{Kind: "store", Severity: 1, Title: "The shared store of limits answers again", Key: "store up"}
		log.Info("the shared store of limits answers again")
	} else {
		log.Error("the shared store of limits does not answer: on_store_error holds", "err", last)
	}
	w.send(m, nil)
}

// replace puts other channels in force. The old ones send what they have queued.
func (w *watchers) replace(ctx context.Context, c *config.Config, n *notify.Notifier) {
	running, stop := context.WithCancel(ctx)
	go n.Run(running)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop != nil {
		w.stop()
	}
	w.notifier, w.stop = n, stop
	w.limits = make(map[string][]string)
	for _, l := range c.Limits {
		w.limits[l.Name] = l.Notify
	}
}

func (w *watchers) send(m notify.Message, channels []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.notifier != nil {
		w.notifier.Send(m, channels)
	}
}

// alarm tells of an alarm that changed its state.
func (w *watchers) alarm(c alarm.Change) {
	severity := 5
	if c.To == alarm.OK {
		severity = 1
	}
	w.send(notify.Message{
		Time: c.Time, Kind: "alarm", Severity: severity, Title: c.Title(), Text: c.Reason,
		Fields: []notify.Field{{Name: "alarm", Value: c.Alarm}, {Name: "series", Value: c.Series}, {Name: "from", Value: string(c.From)}, {Name: "to", Value: string(c.To)}},
		Key:    "alarm " + c.Alarm + " " + c.Series + " " + string(c.To),
	}, c.Channels)
}

// limit tells that a part of a limit is used.
func (w *watchers) limit(a limit.Alert) {
	w.mu.Lock()
	channels := w.limits[a.Limit]
	w.mu.Unlock()
	a.Key = w.name(a.Key)
	severity := 4
	if a.Permille >= 1000 {
		severity = 6
	}
	part := strconv.FormatFloat(float64(a.Permille)/10, 'f', -1, 64) + " %"
	w.send(notify.Message{
		Time: a.Time, Kind: "limit", Severity: severity, Title: "Limit " + a.Limit + " of " + a.Key + " is used by " + part,
		Text:   amountText(a.Measure, a.Used) + " of " + amountText(a.Measure, a.Max) + " until " + a.Ends.UTC().Format(time.RFC3339),
		Fields: []notify.Field{{Name: "limit", Value: a.Limit}, {Name: "key", Value: a.Key}, {Name: "used", Value: amountText(a.Measure, a.Used)}, {Name: "max", Value: amountText(a.Measure, a.Max)}},
		Key:    "limit " + a.Limit + " " + a.Key + " " + part,
	}, channels)
}

// amountText is an amount of a measure for people.
func amountText(measure string, n int64) string {
	switch {
	case measure == "usd" && n < 1e9:
		return strconv.FormatFloat(float64(n)/1e9, 'g', 3, 64) + " USD"
	case measure == "usd":
		return strconv.FormatFloat(float64(n)/1e9, 'f', 2, 64) + " USD"
	}
	return strconv.FormatInt(n, 10) + " " + measure
}

// samples are what parts without metrics of their own know of themselves.
func (s *server) samples() []metrics.Sample {
	failed := 0.0
	if e := s.data.reloadError.Load(); e != nil && *e != "" {
		failed = 1
	}
	return []metrics.Sample{
		{Name: "gatehouse_config_reload_failed", Help: "1 while the configuration in force is older than the file.", Value: failed},
		{Name: "gatehouse_unrecorded_total", Help: "Refusals and logins that are in no record.", Counter: true, Value: float64(s.data.recorder.Dropped())},
	}
}

// channels are the samples of the channels in force.
func (w *watchers) channels() []metrics.Sample {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.notifier.Samples()
}

// audit is how the journal stands.
func (s *server) audit() metrics.Audit {
	switch {
	case s.data.recorder.Err() != nil:
		return metrics.AuditDown
	case len(s.data.recorder.Warnings()) > 0:
		return metrics.AuditWarning
	}
	return metrics.AuditOK
}

// nameOf puts names in the place of user ids in a bucket's key.
func (d *Data) nameOf(key string) string {
	users, err := d.accounts.Users(context.Background())
	if err != nil {
		return key
	}
	parts := strings.Split(key, ",")
	for i, part := range parts {
		for _, u := range users {
			if u.ID == part {
				parts[i] = u.Name
			}
		}
	}
	return strings.Join(parts, ",")
}

// limitTotals sums up how limits stand over all of their buckets.
func (d *Data) limitTotals() (totals []metrics.Limit) {
	for _, r := range d.limits.Status(time.Now()) {
		if len(totals) == 0 || totals[len(totals)-1].Name != r.Limit { // rows are sorted
			totals = append(totals, metrics.Limit{Name: r.Limit})
		}
		t := &totals[len(totals)-1]
		t.Reserved += r.Reserved
		t.Debt += r.Debt
	}
	return totals
}
