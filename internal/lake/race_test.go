//go:build race

package lake

// stride: the model has one goroutine, so that here a few interruptions do; the
// race detector makes the compressor tens of times slower.
const stride = 12
