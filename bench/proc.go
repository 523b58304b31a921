package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc's times: USER_HZ, which is 100 on every Linux that
// Go runs on.
const tick = 10 * time.Millisecond

// family returns a process and all its descendants.
func family(pid int) []int {
	all := []int{pid}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		fields, err := statFields(path)
		if err != nil || len(fields) < 2 {
			continue // it has ended
		}
		if fields[1] == strconv.Itoa(pid) {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			all = append(all, family(child)...)
		}
	}
	return all
}

// statFields are the fields of a stat file after the program's name, which may
// hold anything: the first is the state.
func statFields(path string) ([]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	_, rest, ok := strings.Cut(string(data), ") ")
	if !ok {
		return nil, fmt.Errorf("%s: %q", path, data)
	}
	return strings.Fields(rest), nil
}

// cpu is the processor time that a process and its descendants have used,
// children that have ended included.
func cpu(pid int) (time.Duration, error) {
	var ticks int64
	for _, p := range family(pid) {
		fields, err := statFields(fmt.Sprintf("/proc/%d/stat", p))
		if err != nil {
			return 0, err
		}
		for _, f := range fields[11:15] { // utime, stime, cutime, cstime
			n, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				return 0, err
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * tick, nil
}

// rss is the resident memory of a process and its descendants, in bytes.
func rss(pid int) (int64, error) {
	var sum int64
	for _, p := range family(pid) {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p))
		if err != nil {
			return 0, err
		}
		pages, err := strconv.ParseInt(strings.Fields(string(data))[1], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += pages * int64(os.Getpagesize())
	}
	return sum, nil
}
