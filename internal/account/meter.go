package account

import (
	"net/netip"
	"sync"
	"time"
)

// meter allows each client address a number of events in any window of time.
// It keeps the times themselves, so it is exact, and at most maxTimes of them
// over all addresses: when they are used up, new events are refused rather
// than old ones forgotten. IPv6 addresses count by /64, what one site gets.
type meter struct {
	max    int
	window time.Duration

	mu    sync.Mutex
	times map[netip.Prefix][]time.Time // oldest first
	total int
	swept time.Time // when all addresses were last looked through
}

const maxTimes = 1 << 16

func newMeter(max int, window time.Duration) *meter {
	return &meter{max: max, window: window, times: make(map[netip.Prefix][]time.Time)}
}

// take counts an event. When there is no room for it, it says how long until
// there is.
func (m *meter) take(ip netip.Addr, now time.Time) (wait time.Duration, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := site(ip)
	times := m.recent(p, now)
	if len(times) >= m.max {
		return times[0].Add(m.window).Sub(now), false
	}
	if m.total >= maxTimes && !m.sweep(now) {
		return m.window, false
	}
	m.times[p] = append(times, now)
	m.total++
	return 0, true
}

// sweep forgets what has left the window, of every address, at most once a
// second. It reports whether there is room again.
func (m *meter) sweep(now time.Time) bool {
	if now.Sub(m.swept) < time.Second && !now.Before(m.swept) {
		return false
	}
	m.swept = now
	for p := range m.times {
		m.recent(p, now)
	}
	return m.total < maxTimes
}

// giveBack takes back the event that take counted at that time.
func (m *meter) giveBack(ip netip.Addr, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := site(ip)
	times := m.times[p]
	for i := len(times) - 1; i >= 0; i-- {
		if times[i].Equal(at) {
			m.set(p, append(times[:i:i], times[i+1:]...))
			return
		}
	}
}

// recent forgets the times that have left the window.
func (m *meter) recent(p netip.Prefix, now time.Time) []time.Time {
	times := m.times[p]
	n := 0
	for n < len(times) && now.Sub(times[n]) >= m.window {
		n++
	}
	if n > 0 {
		m.set(p, append([]time.Time(nil), times[n:]...))
	}
	return m.times[p]
}

func (m *meter) set(p netip.Prefix, times []time.Time) {
	m.total += len(times) - len(m.times[p])
	if len(times) == 0 {
		delete(m.times, p)
		return
	}
	m.times[p] = times
}

// site is the network that one client has to itself.
func site(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // an invalid address gives the zero prefix, one site of its own
	return p
}
