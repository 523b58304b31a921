package model

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// Decimals are prices as people write them: USD per 1,000 tokens (Image: USD an
// image), as decimal text such as "0.0025" or "7.5e-05". Empty: not given.
type Decimals struct {
	Input, Output, CacheRead, CacheWrite, Write1h, Image, OutputBurn string
}

// Powers of ten from USD to the units of Price.
const (
	perToken = 12 // USD per thousand tokens → nano-USD per million tokens
	perImage = 9  // USD → nano-USD
)

// price returns base with the given prices in it.
func (d Decimals) price(base Price) (Price, error) {
	p := base
	for _, f := range []struct {
		name, text string
		power      int
		to         *int64
	}{
		{"input", d.Input, perToken, &p.Input},
		{"output", d.Output, perToken, &p.Output},
		{"cache_read", d.CacheRead, perToken, &p.CacheRead},
		{"cache_write", d.CacheWrite, perToken, &p.CacheWrite},
		{"cache_write_1h", d.Write1h, perToken, &p.Write1h},
		{"image", d.Image, perImage, &p.Image},
		{"output_burn", d.OutputBurn, 0, &p.OutputBurn},
	} {
		if f.text == "" {
			continue
		}
		v, err := scale(f.text, f.power)
		if err != nil {
			return Price{}, fmt.Errorf("%s: %w", f.name, err)
		}
		*f.to = v
	}
	if p.OutputBurn > maxBurn {
		return Price{}, fmt.Errorf("output_burn: more than %d", maxBurn)
	}
	p.Known = p.Input > 0 || p.Output > 0 || p.Image > 0
	return p, nil
}

// scale returns the decimal s times 10^power. The result must be whole: a price
// is never rounded.
func scale(s string, power int) (int64, error) {
	if strings.HasPrefix(s, "-") {
		return 0, errors.New("a price cannot be negative")
	}
	mantissa, exponent := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		var err error
		if exponent, err = strconv.Atoi(s[i+1:]); err != nil || exponent < -99 || exponent > 99 {
			return 0, fmt.Errorf("%q is not a decimal number", s)
		}
		mantissa = s[:i]
	}
	whole, fraction, point := strings.Cut(mantissa, ".")
	digits := whole + fraction
	if whole == "" || point && fraction == "" || len(s) > 64 || strings.Trim(digits, "0123456789") != "" {
		return 0, fmt.Errorf("%q is not a decimal number", s)
	}
	zeros := power + exponent - len(fraction)
	for ; zeros < 0 && strings.HasSuffix(digits, "0"); zeros++ {
		digits = digits[:len(digits)-1]
	}
	digits = strings.TrimLeft(digits, "0")
	switch {
	case digits == "":
		return 0, nil
	case zeros < 0:
		return 0, fmt.Errorf("%s is finer than can be held (%d decimal places)", s, power)
	case len(digits)+zeros > 19:
		return 0, fmt.Errorf("%s is too large", s)
	}
	v, err := strconv.ParseInt(digits+strings.Repeat("0", zeros), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is too large", s)
	}
	return v, nil
}

// Cost returns what so many tokens cost, in nano-USD: the exact sum, rounded up
// once; math.MaxInt64 when it does not fit. Negative counts are as zero. Cache
// tokens of a model without cache prices cost what input costs. write1h are
// those of cacheWrite that are kept for an hour: without a price of their own
// they cost twice what input costs where writes cost more than input, as Claude's
// do, and what other writes cost elsewhere.
func (p Price) Cost(in, out, cacheRead, cacheWrite, write1h int64) int64 {
	var hi, lo uint64
	add := func(tokens, price int64) {
		// Each product is below 2^126, so four of them fit in 128 bits: both
		// kinds of writes are no more tokens than one.
		h, l := bits.Mul64(uint64(max(tokens, 0)), uint64(price))
		var carry uint64
		lo, carry = bits.Add64(lo, l, 0)
		hi, _ = bits.Add64(hi, h, carry)
	}
	add(in, p.Input)
	add(out, p.Output)
	add(cacheRead, or(p.CacheRead, p.Input))
	long := min(max(write1h, 0), max(cacheWrite, 0))
	add(cacheWrite-long, or(p.CacheWrite, p.Input))
	add(long, p.longWrite())

	const million = 1_000_000
	if hi >= million {
		return math.MaxInt64
	}
	q, r := bits.Div64(hi, lo, million)
	if r > 0 && q < math.MaxUint64 {
		q++
	}
	return int64(min(q, math.MaxInt64))
}

func (p Price) longWrite() int64 {
	if p.Write1h == 0 && p.CacheWrite > p.Input {
		return max(p.CacheWrite, 2*min(p.Input, math.MaxInt64/2))
	}
	return or(p.Write1h, or(p.CacheWrite, p.Input))
}

// maxBurn keeps token counts times the burn far from overflow.
const maxBurn = 1000

// Worst is the most that so many input and output tokens may cost, whatever
// part of the input is read from or written to the prompt cache.
func (p Price) Worst(in, out int64) int64 {
	p.Input = max(p.Input, p.CacheRead, p.CacheWrite, p.longWrite())
	return p.Cost(in, out, 0, 0, 0)
}

// ImageCost returns what n images cost, in nano-USD, math.MaxInt64 when it does
// not fit.
func (p Price) ImageCost(n int64) int64 {
	hi, lo := bits.Mul64(uint64(max(n, 0)), uint64(p.Image))
	if hi > 0 {
		return math.MaxInt64
	}
	return int64(min(lo, math.MaxInt64))
}

// Cost is [Price.Cost] at the model's price.
func (r Ref) Cost(in, out, cacheRead, cacheWrite, write1h int64) int64 {
	return r.Price.Cost(in, out, cacheRead, cacheWrite, write1h)
}

func or(a, b int64) int64 {
	if a != 0 {
		return a
	}
	return b
}
