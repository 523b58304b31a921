package app

import (
	"context"
	"fmt"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/gateway/limit"
	"gatehouse/internal/secretfile"
	"gatehouse/internal/store/redis"
)

// openLimits makes the limiter, on a shared store of counts when there is one.
func (d *Data) openLimits(context.Context) (err error) {
	o := limit.Options{
		Limits: limitTable(d.config), Alert: d.alert, Longest: time.Duration(d.config.Upstream.TotalTimeout) + time.Minute,
		StoreTimeout: time.Duration(d.config.LimitStore.Timeout),
	}
	if d.config.LimitStore.Kind == "redis" {
		if d.shared, err = openRedis(d.config.LimitStore); err != nil {
			return err
		}
		o.Shared, o.Replicas = d.shared, d.shared.Replicas
	}
	d.limits, err = limit.New(o)
	return err
}

// openRedis makes the client of the shared store, which need not be up yet.
func openRedis(c config.LimitStore) (*redis.Counts, error) {
	o := redis.Options{URL: c.URL, Username: c.Username, Prefix: c.Prefix, Timeout: time.Duration(c.Timeout)}
	if c.PasswordFile != "" {
		password, err := secretfile.Line(c.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("limit_store.password_file: %w", err)
		}
		o.Password = redis.Password(password)
	}
	counts, err := redis.New(o)
	if err != nil {
		return nil, fmt.Errorf("limit_store: %w", err)
	}
	return counts, nil
}

// closeLimits tells the shared store what it has not been told yet.
func (d *Data) closeLimits() error {
	if d.shared == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if d.limits != nil {
		if err := d.limits.Close(ctx); err != nil {
			return err
		}
	}
	return d.shared.Close()
}

// alert hands on that a part of a limit is used.
func (d *Data) alert(a limit.Alert) {
	if w := d.watchers.Load(); w != nil {
		w.limit(a)
	}
}

// storeUp reports whether the shared store answers, as its own probes know also
// while nobody calls; without one nothing is down.
func (d *Data) storeUp() bool { return d.shared == nil || d.shared.State().Up }
