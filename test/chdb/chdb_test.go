// Package chdb_test runs the conformance suite of core, the shipped hunts and
// the loading of tables on ClickHouse: the engine itself, from the chdb package,
// behind a small server (server.py) that speaks its HTTP interface.
//
// The package is hundreds of megabytes, so this runs only with GATEHOUSE_CHDB
// set to the Python that has it (make test).
package chdb_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"gatehouse/internal/lake"
	"gatehouse/internal/lake/clickhouse"
	"gatehouse/internal/query"
	"gatehouse/internal/query/core"
	"gatehouse/internal/query/querytest"
)

// address is that of the server, once it runs.
var address string

func TestMain(m *testing.M) {
	python := os.Getenv("GATEHOUSE_CHDB")
	if python == "" {
		fmt.Println("set GATEHOUSE_CHDB to a Python that has chdb")
		return
	}
	os.Exit(withServer(python, m.Run))
}

// withServer starts the server, which is ready at its first line.
func withServer(python string, run func() int) int {
	cmd := exec.Command(python, "server.py")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe() // the server ends when it does
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		fmt.Println("the server did not start:", err)
		return 1
	}
	address = strings.TrimSpace(strings.TrimPrefix(line, "ready "))
	return run()
}

func open(t *testing.T, options string) *clickhouse.Engine {
	t.Helper()
	e, err := clickhouse.Open(clickhouse.Options{DSN: address + "/" + options})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// runOn runs plans on an engine, without files.
func runOn(e lake.Engine) querytest.Run {
	return func(t *testing.T, p core.Plan) [][]any {
		t.Helper()
		rows, err := query.Run(t.Context(), e, query.Job{Plan: p})
		if err != nil {
			t.Fatal(err)
		}
		all, err := rows.All()
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
}

func TestExprs(t *testing.T) { querytest.Exprs(t, querytest.OverPlans(runOn(open(t, "?files=/none")))) }

func TestPlans(t *testing.T) { querytest.Plans(t, runOn(open(t, "?files=/none"))) }
