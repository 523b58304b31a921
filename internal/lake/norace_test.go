//go:build !race

package lake

// stride is how many operations of the disk lie between those that tests
// interrupt.
const stride = 1
