package clickhouse

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"gatehouse/internal/lake"
)

// bounds are the server's codes for a bound that was met.
var bounds = map[int]lake.Spent{
	241: lake.SpentMemory, // MEMORY_LIMIT_EXCEEDED
	173: lake.SpentMemory, // CANNOT_ALLOCATE_MEMORY
	159: lake.SpentTime,   // TIMEOUT_EXCEEDED
	160: lake.SpentTime,   // TOO_SLOW
	158: lake.SpentRows,   // TOO_MANY_ROWS
	396: lake.SpentRows,   // TOO_MANY_ROWS_OR_BYTES
}

// troubles are codes that are not the statement's fault: who we are, and what
// the server or its storage lack. All other codes are.
var troubles = map[int]bool{
	81: true, 164: true, 192: true, 193: true, 194: true, 195: true, 516: true, // no such database, read-only user, who may log in
	202: true, 203: true, 209: true, 210: true, 243: true, 279: true, 373: true, 394: true, 425: true, // busy, network, disk, cancelled
	74: true, 76: true, 107: true, 117: true, 491: true, 499: true, 636: true, 1000: true, 1001: true, 1002: true, // files and S3
}

var codeInText = regexp.MustCompile(`Code: (\d+)\. `)

// failure makes an error of what the server said. code is its own number, or 0
// where only the text is there to tell it.
func (q *query) failure(code int, message string) error {
	message = strings.TrimSpace(q.e.clean(message))
	if m := codeInText.FindStringSubmatch(message); code == 0 && m != nil {
		code, _ = strconv.Atoi(m[1])
	}
	switch spent, bound := bounds[code]; {
	case q.caller.Err() != nil:
		return q.caller.Err()
	case bound:
		return &lake.BudgetError{Spent: spent, Budget: q.budget}
	case code == 0 || troubles[code]:
		return fmt.Errorf("%w: %s", lake.ErrEngine, message)
	}
	return &lake.SQLError{Message: message}
}

// broken makes an error of a connection that ended, or whose time is up.
func (q *query) broken(err error) error {
	switch {
	case q.caller.Err() != nil:
		return q.caller.Err()
	case q.ctx.Err() != nil:
		return &lake.BudgetError{Spent: lake.SpentTime, Budget: q.budget}
	}
	return fmt.Errorf("%w: %s", lake.ErrEngine, q.e.clean(err.Error()))
}
