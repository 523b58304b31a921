//go:build race

package app

// crowd is how many clients vanish in TestClientsVanish: fewer under the race
// detector, which makes each some ten times as dear; all of them in a pass of
// their own.
const crowd = 1_000
