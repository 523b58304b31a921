package model

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"gatehouse/internal/bedrock"
	"github.com/google/go-cmp/cmp"
)

func TestEmbeddedTable(t *testing.T) {
	all := Default().All()
	if len(all) != 261 {
		t.Errorf("got %d rows, want 261", len(all))
	}
	unpriced := map[string]bool{}
	for _, m := range all {
		if bedrock.FamilyOf(m.Family) == nil {
			t.Errorf("%s: family %q has no row of bodies", m.ID, m.Family)
		}
		if m.Provider == "" || m.Source == "" || len(m.In) == 0 || len(m.Out) == 0 {
			t.Errorf("%s: incomplete row %+v", m.ID, m)
		}
		if !m.Price.Known {
			unpriced[m.ID] = true
		}
		if ref, err := Default().Resolve(m.ID); err != nil || ref.Model != m {
			t.Errorf("%s does not resolve to its row: %+v, %v", m.ID, ref, err)
		}
	}
	// A preview with zero prices, and the two that are billed by query.
	want := map[string]bool{"anthropic.claude-mythos-preview": true, "amazon.rerank-v1:0": true, "cohere.rerank-v3-5:0": true}
	if d := cmp.Diff(want, unpriced); d != "" {
		t.Errorf("unpriced models (-want +got):\n%s", d)
	}
	m, _ := Default().Lookup("us.anthropic.claude-haiku-4-5-20251001-v1:0")
	// 1.1, 5.5, 0.11 and 1.375 USD a million tokens.
	if want := (Price{Input: 1_100_000_000, Output: 5_500_000_000, CacheRead: 110_000_000, CacheWrite: 1_375_000_000, Known: true, OutputBurn: 5}); m.Price != want {
		t.Errorf("got %+v, want %+v", m.Price, want)
	}
	if m.MaxOutput != 64000 || m.Context != 200000 {
		t.Errorf("got max output %d, context %d", m.MaxOutput, m.Context)
	}
}

func TestTableRefuses(t *testing.T) {
	for _, text := range []string{
		`{}`,
		`[{"id":"a.b","input_usd_per_1k":-1}]`,
		`[{"id":"a.b","input_usd_per_1k":1e400}]`,
		`[{"id":"a.b","price":1}]`,
		`[{"id":"a.b"},{"id":"a.b"}]`,
	} {
		if _, err := parseRows([]byte(text)); err == nil {
			t.Errorf("accepted %s", text)
		}
	}
}

func TestResolve(t *testing.T) {
	const haiku = "anthropic.claude-haiku-4-5-20251001-v1:0"
	const app = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123def456"
	table := Default()
	table.Account = "123456789012"
	table.Profiles = map[string]string{app: haiku, app + "x": "no.such-model"}
	type want struct {
		ID, Geo, Region, Account, Kind, Row string
		Err                                 error
	}
	for _, c := range []struct {
		id   string
		want want
	}{
		{haiku, want{ID: haiku, Kind: "model", Row: haiku}},
		{"us." + haiku, want{ID: haiku, Geo: "us", Kind: "geo-profile", Row: "us." + haiku}},
		// No row of its own: the base id prices it.
		{"ca.amazon.titan-text-lite-v1", want{ID: "amazon.titan-text-lite-v1", Geo: "ca", Kind: "geo-profile", Row: "amazon.titan-text-lite-v1"}},
		// Sold under a geo prefix only.
		{"us.amazon.nova-premier-v1:0", want{ID: "amazon.nova-premier-v1:0", Geo: "us", Kind: "geo-profile", Row: "us.amazon.nova-premier-v1:0"}},
		{"amazon.nova-premier-v1:0", want{Err: ErrInvalid}},
		{"eu.amazon.nova-premier-v1:0", want{Err: ErrInvalid}},
		{"arn:aws:bedrock:us-east-1::foundation-model/" + haiku, want{ID: haiku, Region: "us-east-1", Kind: "foundation-model", Row: haiku}},
		{"arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/" + haiku, want{ID: haiku, Region: "us-gov-west-1", Kind: "foundation-model", Row: haiku}},
		{"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us." + haiku, want{ID: haiku, Geo: "us", Region: "us-east-1", Account: "123456789012", Kind: "inference-profile", Row: "us." + haiku}},
		{app, want{ID: haiku, Region: "us-east-1", Account: "123456789012", Kind: "application-inference-profile", Row: haiku}},
		// ARNs that hide a model, or are not ours.
		{app + "x", want{Err: ErrDenied}},
		{strings.Replace(app, "abc", "abd", 1), want{Err: ErrDenied}},
		{"arn:aws:bedrock:us-east-1:999999999999:inference-profile/us." + haiku, want{Err: ErrDenied}},
		{"arn:aws:bedrock:us-east-1:123456789012:default-prompt-router/anthropic.claude:1", want{Err: ErrDenied}},
		{"arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefghijkl", want{Err: ErrDenied}},
		{"arn:aws:bedrock:us-east-1:123456789012:custom-model/" + haiku + "/abcdefghijkl", want{Err: ErrDenied}},
		{"arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdefghijkl", want{Err: ErrDenied}},
		{"arn:aws:bedrock:us-east-1:123456789012:prompt/ABCDEFGHIJ:1", want{Err: ErrDenied}},
		{"arn:aws:sagemaker:us-east-1:123456789012:endpoint/x", want{Err: ErrDenied}},
		{"arn:aws:s3:us-east-1::foundation-model/" + haiku, want{Err: ErrDenied}},
		// Malformed.
		{"arn:aws:bedrock:us-east-1:123456789012:foundation-model/" + haiku, want{Err: ErrInvalid}},
		{"arn:aws:bedrock:us-east-1::inference-profile/us." + haiku, want{Err: ErrInvalid}},
		{"arn:aws:bedrock:us-east-1::foundation-model/us." + haiku, want{Err: ErrInvalid}},
		{"arn:aws:bedrock:us-east-1:123456789012:inference-profile/" + haiku, want{Err: ErrInvalid}},
		{"arn:aws:bedrock:us-east-1:1234:inference-profile/us." + haiku, want{Err: ErrInvalid}},
		{"arn:evil:bedrock:us-east-1::foundation-model/" + haiku, want{Err: ErrInvalid}},
		{"arn:aws:bedrock", want{Err: ErrInvalid}},
		{"us.eu." + haiku, want{Err: ErrInvalid}},
		{"US." + haiku, want{Err: ErrInvalid}},
		{strings.ToUpper(haiku), want{Err: ErrInvalid}},
		{"xx." + haiku, want{Err: ErrInvalid}},
		{haiku + "/../x", want{Err: ErrInvalid}},
		{haiku + "*", want{Err: ErrInvalid}},
		{haiku + " ", want{Err: ErrInvalid}},
		{"anthropic.*", want{Err: ErrInvalid}},
		{"nonsense", want{Err: ErrInvalid}},
		{"", want{Err: ErrInvalid}},
		{strings.Repeat("a", 65<<10), want{Err: ErrInvalid}},
	} {
		ref, err := table.Resolve(c.id)
		got := want{ID: ref.ID, Geo: ref.Geo, Region: ref.Region, Account: ref.Account, Kind: ref.Kind, Err: err}
		if err == nil {
			got.Row = ref.Model.ID
			if ref.Asked != c.id {
				t.Errorf("%.80s: asked %q", c.id, ref.Asked)
			}
		}
		if d := cmp.Diff(c.want, got, cmp.Comparer(func(a, b error) bool { return errors.Is(a, b) })); d != "" {
			t.Errorf("%.80s (-want +got):\n%s", c.id, d)
		}
	}
	if ref, err := Default().Resolve("arn:aws:bedrock:us-east-1:999999999999:inference-profile/us." + haiku); err != nil || ref.Account != "999999999999" {
		t.Errorf("without an account: got %+v, %v; want it reported", ref, err)
	}
}

func FuzzResolve(f *testing.F) {
	table := Default()
	table.Profiles = map[string]string{"arn:aws:bedrock:r:123456789012:imported-model/x": "amazon.nova-lite-v1:0"}
	for _, s := range []string{"", "us.", "arn:::::", "arn:aws:bedrock:r:123456789012:imported-model/x", "arn:aws:bedrock:r::foundation-model/amazon.nova-lite-v1:0", "global.anthropic.claude-opus-5", "us.us.x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, id string) {
		ref, err := table.Resolve(id)
		if err != nil {
			if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrDenied) {
				t.Errorf("%q: untyped error %v", id, err)
			}
			return
		}
		if ref.Model == nil || ref.Asked != id || ref.Kind == "" {
			t.Fatalf("%q: incomplete %+v", id, ref)
		}
		if geo, _ := splitGeo(ref.ID); geo != "" {
			t.Errorf("%q: normalised id %q has a geo prefix", id, ref.ID)
		}
		if !strings.Contains(id, "imported-model") && !strings.HasSuffix(id, ref.ID) {
			t.Errorf("%q: resolved to %q", id, ref.ID)
		}
	})
}

func TestWithPrices(t *testing.T) {
	base := Default()
	table, err := base.WithPrices(map[string]Decimals{
		"amazon.nova-lite-v1:0":           {Input: "0.1", Output: "2.5e-3"},
		"anthropic.claude-opus-9":         {Input: "0.01", Output: "0.05"},
		"ca.amazon.titan-text-lite-v1":    {Input: "1"},
		"anthropic.claude-mythos-preview": {Input: "0.000000000001"},
	})
	if err != nil {
		t.Fatal(err)
	}
	nova, _ := table.Lookup("amazon.nova-lite-v1:0")
	if nova.Price.Input != 100_000_000_000 || nova.Price.Output != 2_500_000_000 || nova.Source != "config" || nova.MaxOutput == 0 {
		t.Errorf("changed row: %+v", nova)
	}
	if old, _ := base.Lookup("amazon.nova-lite-v1:0"); old.Price.Input != 60_000_000 {
		t.Errorf("the original table changed: %+v", old)
	}
	opus, err := table.Resolve("us.anthropic.claude-opus-9")
	if err != nil || opus.ID != "anthropic.claude-opus-9" || opus.Family != "claude" || opus.MaxOutput == 0 || opus.Price.CacheRead != 0 {
		t.Errorf("added row: %+v, %v", opus, err)
	}
	if titan, _ := table.Resolve("ca.amazon.titan-text-lite-v1"); titan.Price.Input != 1_000_000_000_000 || titan.ID != "amazon.titan-text-lite-v1" {
		t.Errorf("added geo row: %+v", titan)
	}
	for id, d := range map[string]Decimals{
		"amazon.nova-lite-v1:0":     {Input: "-0.1"},
		"amazon.nova-micro-v1:0":    {Output: "-0"},
		"amazon.nova-pro-v1:0":      {Output: "1e30"},
		"anthropic.claude-opus-5":   {CacheRead: "0.0000000000001"},
		"anthropic.claude-opus-4-7": {Input: "0", Output: "0.0"},
		"nobody.knows-this":         {Input: "1"},
		"Anthropic claude":          {Input: "1"},
		"amazon.nova-2-lite-v1:0":   {Input: "NaN"},
	} {
		if _, err := base.WithPrices(map[string]Decimals{id: d}); err == nil || !strings.Contains(err.Error(), id) {
			t.Errorf("%s %+v: got error %v", id, d, err)
		}
	}
}

func TestWithCeiling(t *testing.T) {
	table := Default().WithCeiling()
	for _, m := range table.All() {
		if !m.Price.Known || m.Price.Cost(1000, 1000, 0, 0, 0) == 0 && m.Price.Image == 0 {
			t.Errorf("%s is free", m.ID)
		}
	}
	mythos, _ := table.Lookup("anthropic.claude-mythos-preview")
	for _, m := range Default().All() {
		if m.Price.Worst(1000, 1000) > mythos.Price.Worst(1000, 1000) {
			t.Errorf("%s costs more than the ceiling", m.ID)
		}
	}
}

func TestScale(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "0.0": 0, "1": 1e12, "0.0025": 25e8, "7.5e-05": 75e6, "7.5E-05": 75e6, "1e0": 1e12,
		"0.000000000001": 1, "0.0000000000010": 1, "10e-13": 1, "9223372.036854775807": math.MaxInt64, "000.5": 5e11, "1e+1": 1e13,
	} {
		if got, err := scale(s, perToken); err != nil || got != want {
			t.Errorf("scale(%q) = %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", " 1", "1 ", "+1", "-1", "-0", ".5", "5.", ".", "1.2.3", "0x1", "1_0", "1e", "1e1e1", "e1", "NaN", "Inf", "1e400", "1e99", "1e-99",
		"9223372.036854775808", "99999999999999999999", "0.0000000000001", strings.Repeat("0", 65), "١"} {
		if got, err := scale(s, perToken); err == nil {
			t.Errorf("scale(%q) = %d, want an error", s, got)
		}
	}
}

func FuzzScale(f *testing.F) {
	f.Add("0.0025")
	f.Add("7.5e-05")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := scale(s, perToken)
		if err != nil {
			return
		}
		want, ok := new(big.Rat).SetString(s)
		if !ok {
			t.Fatalf("accepted %q", s)
		}
		want.Mul(want, new(big.Rat).SetInt64(1e12))
		if got < 0 || want.Cmp(new(big.Rat).SetInt64(got)) != 0 {
			t.Errorf("scale(%q) = %d, want %s", s, got, want.RatString())
		}
	})
}

// TestCost compares with big integers: the exact sum, rounded up once, capped.
func TestCost(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	draw := func() int64 { return r.Int64() >> r.IntN(63) }
	for range 20000 {
		p := Price{Input: draw(), Output: draw(), CacheRead: draw(), CacheWrite: draw(), Write1h: max(1, draw())}
		n := [5]int64{draw(), draw(), draw(), draw(), draw()}
		if r.IntN(10) == 0 {
			n[r.IntN(5)] *= -1
		}
		if got, want := p.Cost(n[0], n[1], n[2], n[3], n[4]), bigCost(p, n); got != want {
			t.Fatalf("%+v × %v: got %d, want %d", p, n, got, want)
		}
	}
	top := int64(math.MaxInt64)
	if got := (Price{Input: top, Output: top, CacheRead: top, CacheWrite: top}).Cost(top, top, top, top, top/2); got != top {
		t.Errorf("overflow: got %d", got)
	}
	// Ten million calls of one token at 0.0025 USD per 1,000: 25 USD, exactly.
	if one := (Price{Input: 2_500_000_000}).Cost(1, 0, 0, 0, 0); one*10_000_000 != 25e9 {
		t.Errorf("sum of 10^7 calls: got %d", one*10_000_000)
	}
	if got := (Price{Input: 1}).Cost(1, 0, 0, 0, 0); got != 1 {
		t.Errorf("a fraction rounds up: got %d", got)
	}
	if got := (Price{Image: 80_000_000}).ImageCost(3); got != 240_000_000 {
		t.Errorf("images: got %d", got)
	}
	if got := (Price{Image: top}).ImageCost(3); got != top {
		t.Errorf("images overflow: got %d", got)
	}
}

func bigCost(p Price, n [5]int64) int64 {
	sum := new(big.Int)
	n[4] = max(0, min(n[3], n[4]))
	n[3] -= n[4]
	for i, price := range []int64{p.Input, p.Output, or(p.CacheRead, p.Input), or(p.CacheWrite, p.Input), p.Write1h} {
		sum.Add(sum, new(big.Int).Mul(big.NewInt(max(n[i], 0)), big.NewInt(price)))
	}
	sum.Add(sum, big.NewInt(999_999)).Div(sum, big.NewInt(1_000_000))
	if !sum.IsInt64() {
		return math.MaxInt64
	}
	return sum.Int64()
}

// TestLongWrites: what is written for an hour costs what its price says; without
// one twice the input where writes are dearer than input. The worst a call may
// cost covers it.
func TestLongWrites(t *testing.T) {
	for _, tt := range []struct {
		p    Price
		want int64 // of 1,000,000 tokens written, 400,000 of them for an hour
	}{
		{Price{Input: 1000, CacheWrite: 1250}, 600*1250/1000 + 400*2000/1000},
		{Price{Input: 1000, CacheWrite: 1250, Write1h: 1600}, 600*1250/1000 + 400*1600/1000},
		{Price{Input: 1000, CacheWrite: 2500}, 2500},
		{Price{Input: 1000, CacheWrite: 900}, 900},
		{Price{Input: 1000}, 1000},
	} {
		if got := tt.p.Cost(0, 0, 0, 1_000_000, 400_000); got != tt.want {
			t.Errorf("%+v: got %d, want %d", tt.p, got, tt.want)
		}
		if worst, cost := tt.p.Worst(1_000_000, 0), tt.p.Cost(0, 0, 0, 1_000_000, 1_000_000); worst < cost {
			t.Errorf("%+v: the worst is %d, an hour's write of it all %d", tt.p, worst, cost)
		}
	}
}

// TestCostNeverFalls checks that more of anything never costs less.
func TestCostNeverFalls(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, m := range Default().All() {
		a := [5]int64{r.Int64N(1e9), r.Int64N(1e9), r.Int64N(1e9), r.Int64N(1e9), r.Int64N(1e9)}
		b := a
		b[r.IntN(5)] += r.Int64N(1e6)
		if x, y := m.Price.Cost(a[0], a[1], a[2], a[3], a[4]), m.Price.Cost(b[0], b[1], b[2], b[3], b[4]); x > y || x < 0 {
			t.Errorf("%s: %v costs %d, %v costs %d", m.ID, a, x, b, y)
		}
	}
}

func BenchmarkResolve(b *testing.B) {
	table := Default()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := table.Resolve("us.anthropic.claude-haiku-4-5-20251001-v1:0"); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleRef_Cost() {
	ref, _ := Default().Resolve("global.anthropic.claude-haiku-4-5-20251001-v1:0")
	fmt.Println(ref.ID, ref.Geo, ref.Cost(1000, 200, 0, 0, 0), "nano-USD")
	// Output: anthropic.claude-haiku-4-5-20251001-v1:0 global 2000000 nano-USD
}
