package admin

import (
	"fmt"
	"strings"

	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/config"
)

// ModelRows returns the model table as rows.
func ModelRows(t *model.Table) []Model {
	all := t.All()
	rows := make([]Model, len(all))
	for i, m := range all {
		ref, err := t.Resolve(m.ID)
		if err != nil { // every row of the table resolves to itself
			ref = model.Ref{ID: m.ID, Model: m}
		}
		rows[i] = modelRow(ref)
	}
	return rows
}

// ModelRow resolves an id, a profile id or an ARN as the gateway would.
func ModelRow(t *model.Table, id string) (Model, error) {
	ref, err := t.Resolve(id)
	if err != nil {
		return Model{}, ErrNotFound.Say("no model is known as %q: see `gatehouse models list`, or profiles in the configuration for ARNs", id)
	}
	return modelRow(ref), nil
}

func modelRow(ref model.Ref) Model {
	m := ref.Model
	row := Model{
		ID: m.ID, Provider: m.Provider, Family: m.Family, Input: m.In, Output: m.Out,
		Context: m.Context, MaxOutput: m.MaxOutput, Priced: m.Price.Known, Source: m.Source,
		BaseID: ref.ID, Geo: ref.Geo,
	}
	if m.Price.Known {
		row.InputUSD, row.OutputUSD = usd(m.Price.Input), usd(m.Price.Output)
		row.CacheRead, row.CacheWrite = some(m.Price.CacheRead, 12), some(m.Price.CacheWrite, 12)
		row.ImageUSD = some(m.Price.Image, 9)
	}
	return row
}

// some is decimal, empty for a price that is not charged on its own.
func some(n int64, places int) string {
	if n == 0 {
		return ""
	}
	return decimal(n, places)
}

// usd writes nano-USD per million tokens as USD per 1,000 tokens, exactly.
func usd(rate int64) string { return decimal(rate, 12) }

// decimal writes n / 10^places without zeros at its end.
func decimal(n int64, places int) string {
	s := fmt.Sprintf("%0*d", places+1, n)
	whole, frac := s[:len(s)-places], strings.TrimRight(s[len(s)-places:], "0")
	if frac == "" {
		return whole
	}
	return whole + "." + frac
}

// ModelTable is the table of models with a configuration's prices and ARNs.
func ModelTable(c *config.Config) (*model.Table, error) {
	prices := make(map[string]model.Decimals, len(c.Prices.Models))
	for id, p := range c.Prices.Models {
		prices[id] = p.Decimals()
	}
	t, err := model.Default().WithPrices(prices)
	if err != nil {
		return nil, err
	}
	t.Account, t.Profiles = c.AccountID, c.Profiles
	return t, nil
}
