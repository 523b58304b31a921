//go:build !race

package app

const crowd = 10_000 // see siege_race_test.go
