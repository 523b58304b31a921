package app

import (
	"strings"
	"time"

	"gatehouse/internal/admin"
	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/call"
	"gatehouse/internal/config"
	"gatehouse/internal/gateway/limit"
)

// modelTable is the models with the configured prices and profiles.
func modelTable(c *config.Config) (*model.Table, error) {
	t, err := admin.ModelTable(c)
	if err == nil && c.Prices.Unpriced == "ceiling" {
		t = t.WithCeiling()
	}
	return t, err
}

// limitTable is the shipped limits with the configured ones added.
func limitTable(c *config.Config) []limit.Limit {
	own := make([]limit.Limit, len(c.Limits))
	for i, l := range c.Limits {
		window := limit.Window(l.Window.Duration())
		switch l.Window {
		case "day":
			window = limit.Day
		case "month":
			window = limit.Month
		}
		most, _ := l.Max.Scaled(places[l.Measure]) // checked by config
		own[i] = limit.Limit{
			Name: l.Name, Per: l.Per, Measure: l.Measure, Max: most, Window: window,
			Match:  limit.Match{Models: l.Match.Models, Teams: l.Match.Teams, Users: l.Match.Users, Schemes: schemes(l.Match.Schemes)},
			Action: l.Action, Wait: time.Duration(l.Wait), RefuseAs: l.RefuseAs,
			OnStoreError: l.OnStoreError, Mode: l.Mode, AlertAt: thousandths(l.AlertAt),
		}
	}
	all := limit.Merge(limit.Shipped, own)
	for i := range all {
		if c.Mode == limit.Observe {
			all[i].Mode = limit.Observe
		}
	}
	return all
}

func thousandths(fractions []config.Decimal) (out []int64) {
	for _, f := range fractions {
		n, _ := f.Scaled(3) // checked by config
		out = append(out, n)
	}
	return out
}

// places are the decimal places of a limit's unit: those of nano-USD.
var places = map[string]int{"usd": 9}

func schemes(names []string) (list []call.Scheme) {
	for _, s := range []call.Scheme{call.SigV4, call.APIKey, call.Token, call.OIDC} {
		for _, name := range names {
			if s.String() == name {
				list = append(list, s)
			}
		}
	}
	return list
}

// limitRows puts the limiter's rows into the admin API's words.
func limitRows(rows []limit.Row) []admin.Limit {
	out := make([]admin.Limit, len(rows))
	for i, r := range rows {
		out[i] = admin.Limit{Limit: r.Limit, Per: strings.Join(r.Per, ","), Key: r.Key, Measure: r.Measure, Max: r.Max, Used: r.Used, Reserved: r.Reserved, Debt: r.Debt, ResetsAt: r.ResetsAt}
	}
	return out
}
