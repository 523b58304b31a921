package journal_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/journal"
)

// BenchmarkAppend is the write path on the real disk: 200 bytes of meta and 1,000 of body.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			j, _ := open(b, journal.Options{Dir: b.TempDir(), MaxWait: time.Minute}, nil)
			meta, body := bytes.Repeat([]byte("m"), 200), bytes.Repeat([]byte("b"), 1000)
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			b.ReportAllocs()
			b.SetBytes(1200)
			b.ResetTimer()
			for range writers {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if err := j.Append(2, meta, body, nil); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64(b.N)/float64(max(j.Stats().Commits, 1)), "records/commit")
		})
	}
}

// BenchmarkOpen is recovery and replay of one full segment of 1.2 KB records.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	j, _ := open(b, journal.Options{Dir: dir}, nil)
	meta, body := bytes.Repeat([]byte("m"), 200), bytes.Repeat([]byte("b"), 1000)
	for range 50_000 {
		if err := j.Write(2, meta, body, nil); err != nil {
			b.Fatal(err)
		}
		if j.Stats().Queued > 32<<20 {
			j.Sync()
		}
	}
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(50_000 * 1308)
	for b.Loop() {
		j, rec, err := journal.Open(context.Background(), journal.Options{Dir: dir, BallastBytes: -1}, func(journal.Entry) error { return nil })
		if err != nil || rec.Frames != 50_000 {
			b.Fatal(err, rec)
		}
		j.Close()
	}
}
