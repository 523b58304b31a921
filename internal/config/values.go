package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time, written as `60s`, `15m`, `1h30m` or `30d`.
type Duration time.Duration

// UnmarshalText reads a duration that is positive and at most 100 years.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes the shortest form that is read back to the same value.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d Duration) String() string {
	const day = 24 * time.Hour
	v := time.Duration(d)
	if v >= day && v%day == 0 {
		return strconv.FormatInt(int64(v/day), 10) + "d"
	}
	s := v.String() // 15m0s, 1h0m0s
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// ParseDuration reads a positive duration: Go's units, and d for days, which
// stand first and alone or before the others (`1d12h`).
func ParseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("bad duration %q: write a number and a unit, such as 60s, 15m, 24h or 30d", clip(s))
	if len(s) > 32 {
		return 0, bad
	}
	var total time.Duration
	rest := s
	for _, unit := range []struct {
		letter string
		days   uint64
	}{{"w", 7}, {"d", 1}} {
		n, after, ok := strings.Cut(rest, unit.letter)
		if !ok {
			continue
		}
		d, err := strconv.ParseUint(n, 10, 32)
		if err != nil || d > 36500 {
			return 0, bad
		}
		total, rest = total+time.Duration(d*unit.days)*24*time.Hour, after
	}
	if rest != "" || total == 0 && rest == s {
		v, err := time.ParseDuration(rest)
		if err != nil || v < 0 || rest[0] == '+' {
			return 0, bad
		}
		total += v
	}
	switch {
	case total <= 0:
		return 0, fmt.Errorf("duration %q must be more than zero", clip(s))
	case total > 36500*24*time.Hour:
		return 0, fmt.Errorf("duration %q is more than 100 years", clip(s))
	}
	return total, nil
}

// Window is a limit's window: a duration (sliding), `day` or `month` (UTC).
type Window string

// UnmarshalText refuses anything else.
func (w *Window) UnmarshalText(text []byte) error {
	s := string(text)
	if s != "day" && s != "month" {
		d, err := ParseDuration(s)
		if err != nil {
			return errors.New(err.Error() + "; or day, or month")
		}
		if d < time.Second {
			return fmt.Errorf("window %q is shorter than a second", s)
		}
	}
	*w = Window(s)
	return nil
}

// Duration returns the length of a sliding window, or 0 for day and month.
func (w Window) Duration() time.Duration {
	d, err := ParseDuration(string(w))
	if err != nil {
		return 0
	}
	return d
}

// Decimal is a number as it was written, such as `25` or `0.5`: it is never
// held as floating point. Empty is 0.
type Decimal string

// UnmarshalText reads a decimal number that is not negative.
func (d *Decimal) UnmarshalText(text []byte) error {
	if _, err := Decimal(text).Scaled(9); err != nil { // too fine or too large for money
		if _, whole := Decimal(text).Scaled(0); whole != nil {
			return err
		}
	}
	*d = Decimal(text)
	return nil
}

// MarshalJSON writes the number.
func (d Decimal) MarshalJSON() ([]byte, error) {
	if d == "" {
		return []byte("0"), nil
	}
	return []byte(d), nil
}

// Scaled returns the number times ten to the power of places, which must be
// whole and fit.
func (d Decimal) Scaled(places int) (int64, error) {
	bad := fmt.Errorf("bad number %q: write digits, such as 25 or 0.5", clip(string(d)))
	if d == "" {
		return 0, nil
	}
	whole, fraction, point := strings.Cut(string(d), ".")
	if whole == "" || point && fraction == "" || len(d) > 32 || strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, bad
	}
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) > places {
		if places == 0 {
			return 0, fmt.Errorf("%s is not a whole number", d)
		}
		return 0, fmt.Errorf("%s has more than %d decimal places", d, places)
	}
	n, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", places-len(fraction)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("number %s is too large", d)
	}
	return n, nil
}

// Prefix is a network in CIDR form, or one address. IPv4 addresses mapped into
// IPv6 are unmapped; zones are refused.
type Prefix netip.Prefix

// UnmarshalText reads a network or an address.
func (p *Prefix) UnmarshalText(text []byte) error {
	v, err := ParsePrefix(string(text))
	if err != nil {
		return err
	}
	*p = Prefix(v)
	return nil
}

// MarshalText writes the network in CIDR form.
func (p Prefix) MarshalText() ([]byte, error) { return netip.Prefix(p).MarshalText() }

// ParsePrefix reads `10.0.0.0/8`, `2001:db8::/32` or one address.
func ParsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() && p.Bits() < 96 {
		return netip.Prefix{}, fmt.Errorf("bad network %q: write an address or a network, such as 10.0.0.0/8 or 2001:db8::/32", clip(s))
	}
	if p.Addr().Is4In6() {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("network %q has bits set behind its length: write %s", clip(s), p.Masked())
	}
	return p, nil
}

// clip shortens what an error quotes.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
