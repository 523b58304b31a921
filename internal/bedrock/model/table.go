package model

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

//go:embed models.json
var modelsJSON []byte

// Table is the rows by id. It is safe for concurrent use.
type Table struct {
	// Profiles maps the ARNs that hide a model (application inference profiles,
	// provisioned throughput, imported and custom models) to a model id. Set it
	// before the table is shared.
	Profiles map[string]string
	// Account is the only account whose ARNs resolve; empty: any, and the
	// caller checks Ref.Account. Set it before the table is shared.
	Account string

	rows map[string]*Model
}

// Default returns a copy of the embedded table, to be configured freely. It
// panics when the file that was built in is wrong; a test reads it.
func Default() *Table { return &Table{rows: embedded()} }

var embedded = sync.OnceValue(func() map[string]*Model {
	rows, err := parseRows(modelsJSON)
	if err != nil {
		panic("model: embedded table: " + err.Error())
	}
	return rows
})

// row is one object of models.json. Prices keep their text.
type row struct {
	ID         string      `json:"id"`
	Provider   string      `json:"provider"`
	Family     string      `json:"family"`
	Input      json.Number `json:"input_usd_per_1k"`
	Output     json.Number `json:"output_usd_per_1k"`
	CacheRead  json.Number `json:"cache_read_usd_per_1k"`
	CacheWrite json.Number `json:"cache_write_usd_per_1k"`
	Image      json.Number `json:"output_usd_per_image"`
	Query      json.Number `json:"input_usd_per_query"` // not billed by token: leaves the price unknown
	Modalities struct{ In, Out []string }
	Burn       json.Number `json:"output_burn"` // 5 for Claude 4 (AWS community, "burndown rates", 27 May 2025); else 1
	Context    int64       `json:"context"`
	MaxOutput  int64       `json:"max_output"`
	Endpoint   string      `json:"endpoint"`
	Source     string      `json:"source"`
}

func parseRows(data []byte) (map[string]*Model, error) {
	var list []row
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&list); err != nil {
		return nil, err
	}
	rows := make(map[string]*Model, len(list))
	for _, r := range list {
		if rows[r.ID] != nil {
			return nil, fmt.Errorf("%s: listed twice", r.ID)
		}
		p, err := Decimals{Input: string(r.Input), Output: string(r.Output), CacheRead: string(r.CacheRead), CacheWrite: string(r.CacheWrite), Image: string(r.Image), OutputBurn: string(r.Burn)}.price(Price{})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.ID, err)
		}
		rows[r.ID] = &Model{
			ID: r.ID, Provider: r.Provider, Family: r.Family, Price: p,
			Context: r.Context, MaxOutput: r.MaxOutput,
			In: r.Modalities.In, Out: r.Modalities.Out,
			Mantle: r.Endpoint == "mantle", Source: r.Source,
		}
	}
	return rows, nil
}

// All returns every row, by id.
func (t *Table) All() []*Model {
	all := make([]*Model, 0, len(t.rows))
	for _, id := range slices.Sorted(maps.Keys(t.rows)) {
		all = append(all, t.rows[id])
	}
	return all
}

// Lookup returns the row with exactly this id.
func (t *Table) Lookup(id string) (*Model, bool) {
	m, ok := t.rows[id]
	return m, ok
}

// WithPrices returns a copy of the table with prices changed, by id as asked
// for, geo prefix included. An empty decimal keeps what the row has. An id that
// the table lacks is added, in all but its price a copy of the row of the same
// provider whose id begins most alike. Negative prices, prices too large or too
// fine to hold, and prices of nothing are refused; all errors are reported.
func (t *Table) WithPrices(prices map[string]Decimals) (*Table, error) {
	c := &Table{Profiles: t.Profiles, Account: t.Account, rows: maps.Clone(t.rows)}
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(prices)) {
		m, err := t.repriced(id, prices[id])
		if err != nil {
			errs = append(errs, fmt.Errorf("prices: %s: %w", id, err))
			continue
		}
		c.rows[id] = m
	}
	return c, errors.Join(errs...)
}

// WithCeiling returns a copy of the table in which every model without a price
// has the highest of each price that any model has: it can be used, and is
// never free.
func (t *Table) WithCeiling() *Table {
	c := &Table{Profiles: t.Profiles, Account: t.Account, rows: maps.Clone(t.rows)}
	top := Price{Known: true}
	for _, m := range t.rows {
		top.Input, top.Output, top.Image = max(top.Input, m.Price.Input), max(top.Output, m.Price.Output), max(top.Image, m.Price.Image)
		top.CacheRead, top.CacheWrite = max(top.CacheRead, m.Price.CacheRead), max(top.CacheWrite, m.Price.CacheWrite)
		top.Write1h = max(top.Write1h, m.Price.longWrite())
	}
	for id, m := range t.rows {
		if !m.Price.Known {
			priced := *m
			priced.Price, priced.Source = top, "ceiling"
			priced.Price.OutputBurn = m.Price.OutputBurn
			c.rows[id] = &priced
		}
	}
	return c
}

func (t *Table) repriced(id string, d Decimals) (*Model, error) {
	m := t.rows[id]
	if m == nil {
		if m = t.nearest(id); m == nil {
			return nil, errors.New("no model of that provider is known")
		}
		m = &Model{Provider: m.Provider, Family: m.Family, Context: m.Context, MaxOutput: m.MaxOutput, In: m.In, Out: m.Out}
	}
	p, err := d.price(m.Price)
	if err != nil {
		return nil, err
	}
	if !p.Known {
		return nil, errors.New("the price of everything is zero")
	}
	changed := *m
	changed.ID, changed.Price, changed.Source = id, p, "config"
	return &changed, nil
}

// nearest returns the row whose base id shares the longest prefix with that of
// id, at least the provider; among equals the first by id.
func (t *Table) nearest(id string) *Model {
	if len(id) > maxID || !wellFormed(id) {
		return nil
	}
	_, base := splitGeo(id)
	var best *Model
	longest := strings.IndexByte(base, '.')
	for _, m := range t.All() {
		_, b := splitGeo(m.ID)
		if n := common(b, base); n > longest {
			best, longest = m, n
		}
	}
	return best
}

func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
