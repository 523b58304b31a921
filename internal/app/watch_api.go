package app

import (
	"context"
	"net/http"

	"gatehouse/internal/admin"
)

// noServer is what is asked of a running server where there is none.
var noServer = admin.ErrUnavailable.Say("only a running server knows: start gatehouse serve")

// ListAlarms implements [admin.Watches], as the next two do.
func (d *Data) ListAlarms(context.Context) ([]admin.Alarm, error) {
	w := d.watchers.Load()
	if w == nil {
		return nil, noServer
	}
	var out []admin.Alarm
	for _, r := range w.alarms.Rows() {
		out = append(out, admin.Alarm(r))
	}
	return out, nil
}

func (d *Data) ListChannels(context.Context) ([]admin.Channel, error) {
	w := d.watchers.Load()
	if w == nil {
		return nil, noServer
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []admin.Channel
	for _, r := range w.notifier.Rows() {
		out = append(out, admin.Channel(r))
	}
	return out, nil
}

func (d *Data) Metrics() http.Handler {
	if w := d.watchers.Load(); w != nil {
		return w.metrics.Handler()
	}
	return nil
}
