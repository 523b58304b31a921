package duck

import (
	"errors"
	"fmt"
	"strings"

	"gatehouse/internal/lake"
)

// errMemory and errInterrupt are what DuckDB says when a bound is met; the query
// knows which bound it was and says so.
var (
	errMemory    = errors.New("out of memory")
	errInterrupt = errors.New("interrupted")
)

// classes tells DuckDB's errors apart by how their messages begin. What is not
// here is the statement's fault.
var classes = []struct {
	prefix string
	class  error
}{
	{"Out of Memory Error", errMemory},
	{"INTERRUPT Error", errInterrupt},
	{"Interrupt Error", errInterrupt},
	{"IO Error", lake.ErrEngine},
	{"Fatal Error", lake.ErrEngine},
	{"FATAL Error", lake.ErrEngine},
	{"INTERNAL Error", lake.ErrEngine},
	{"Internal Error", lake.ErrEngine},
	{"Serialization Error", lake.ErrEngine},
}

// ours marks an error of a statement that the user did not write: files that
// are not there, or are no Parquet.
func ours(err error) error {
	var sql *lake.SQLError
	if errors.As(err, &sql) {
		return fmt.Errorf("%w: %s", lake.ErrEngine, sql.Message)
	}
	return err
}

// typed makes an error of a message of DuckDB's.
func typed(message string) error {
	for _, c := range classes {
		if strings.HasPrefix(message, c.prefix) {
			return fmt.Errorf("%w: %s", c.class, message)
		}
	}
	if strings.Contains(message, "bad_alloc") || strings.Contains(message, "bad allocation") {
		return fmt.Errorf("%w: %s", errMemory, message)
	}
	return &lake.SQLError{Message: message}
}
