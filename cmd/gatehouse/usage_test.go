package main

import (
	"bytes"
	"context"
	"math"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/admin"
	"gatehouse/internal/app"
)

func TestUSD(t *testing.T) {
	for nano, want := range map[int64]string{
		0: "0.00", 1: "0.000000001", 1_000_000_000: "1.00", 25_500_000_000: "25.50", 1_234_567_890: "1.23456789",
		-10_000_000: "-0.01", math.MaxInt64: "9223372036.854775807",
	} {
		if got := usd(nano); got != want {
			t.Errorf("usd(%d) = %s, want %s", nano, got, want)
		}
	}
}

func TestProgressText(t *testing.T) {
	for want, s := range map[string]admin.Scan{
		"7 records read":                   {Read: 7},
		"1024 of 4096 records read (25 %)": {Read: 1024, Of: 4096},
	} {
		if got := progressText(s); got != want {
			t.Errorf("%+v: got %q, want %q", s, got, want)
		}
	}
}

// served opens a data directory and answers on its socket as a server would.
func served(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "d")
	data, err := app.OpenData(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	l, err := admin.ListenSocket(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: admin.SocketHandler(admin.Options{API: data})}
	go s.Serve(l)
	t.Cleanup(func() {
		s.Close()
		if err := data.Close(); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestWatchEnds: an interrupted watch is no failure.
func TestWatchEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	out := &cancelling{cancel: cancel}
	var stderr bytes.Buffer
	code := run(ctx, []string{"limit", "status", "--data", served(t), "--watch"}, nil, nil, out, &stderr)
	if code != exitFine || stderr.Len() > 0 || !strings.HasPrefix(out.String(), "LIMIT ") {
		t.Errorf("exit code %d, %q, %q", code, out.String(), &stderr)
	}
}

// cancelling is a buffer that ends a context once it holds a line.
type cancelling struct {
	bytes.Buffer
	cancel func()
}

func (c *cancelling) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("\n")) {
		c.cancel()
	}
	return c.Buffer.Write(p)
}

// TestCompleteBy: the words of --by are completed one by one.
func TestCompleteBy(t *testing.T) {
	for typed, want := range map[string][]string{
		"mo":        {"model", "month"},
		"team,mode": {"team,model"},
		"x":         nil,
	} {
		var out, stderr bytes.Buffer
		run(context.Background(), []string{"__complete", "usage", "--by", typed}, nil, nil, &out, &stderr)
		got := strings.Fields(out.String())
		if n := len(got) - 1; n < 0 || !slices.Equal(got[:n], want) {
			t.Errorf("--by %s: got %q, want %q", typed, got, want)
		}
	}
}

// TestAuditFound: a difference is printed in every format, with names and in
// USD for people, and is the exit code.
func TestAuditFound(t *testing.T) {
	a := admin.LimitAudit{Records: 9, Counters: 4, Notes: []string{"a note"}, Differences: []admin.LimitDifference{
		{Limit: "spend", Per: "user", Key: "id-1", Measure: "usd", Used: 1_500_000_000, Recomputed: 1_000_000_000},
	}}
	for f, want := range map[format]string{
		formatTable: "LIMIT  PER   KEY  UNIT  USED  RECOMPUTED\nspend  user  ann  USD   1.50  1.00\n",
		formatCSV:   "limit,per,key,measure,used,recomputed\nspend,user,id-1,usd,1500000000,1000000000\n",
		formatJSONL: `{"limit":"spend","per":"user","key":"id-1","measure":"usd","used":1500000000,"recomputed":1000000000}` + "\n",
	} {
		var out, stderr bytes.Buffer
		p := &program{stdout: &out, stderr: &stderr, format: f}
		err := p.printAudit(context.Background(), oneUser{}, a)
		if exitCode(err) != exitFound || out.String() != want {
			t.Errorf("%s: exit code %d, got %q, want %q", f, exitCode(err), &out, want)
		}
		if got, want := stderr.String(), "note: a note\n9 records read, 4 counters recomputed, 0 calls under way: 1 differ\n"; got != want {
			t.Errorf("%s: said %q, want %q", f, got, want)
		}
	}
}

// oneUser is an API that knows one user.
type oneUser struct{ admin.API }

func (oneUser) ListUsers(context.Context) ([]admin.User, error) {
	return []admin.User{{ID: "id-1", Name: "ann"}}, nil
}
