//go:build !race

package sigv4_test

import (
	"math/rand/v2"
	"testing"

	"gatehouse/internal/sigv4"
)

// TestVerifyAllocations does not run under the race detector, which makes
// sync.Pool forget at random.
func TestVerifyAllocations(t *testing.T) {
	req, body, _ := randomRequest(t, rand.New(rand.NewPCG(5, 6)))
	now := at(t, "20261122T150447Z")
	r, _ := sdkSign(t, req, body, "TOKEN", now)
	key := sigv4.DeriveKey(testSecret, "20261122", region, service)
	authorization := r.Header.Get("Authorization")
	if n := testing.AllocsPerRun(1000, func() {
		a, err := sigv4.ParseAuthorization(authorization)
		if err != nil || a.Check(now, r, region, service) != nil || !a.Verify(r, key) {
			t.Fatal("refused")
		}
	}); n > 2 {
		t.Errorf("a request costs %v allocations, want at most 2", n)
	}
}
