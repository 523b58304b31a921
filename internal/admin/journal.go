package admin

import (
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"time"

	"gatehouse/internal/journal"
	"gatehouse/internal/ledger"
)

// The journals of a data directory.
const (
	CallsDir     = "journal/calls"     // calls, accounts and settings
	StrangersDir = "journal/strangers" // refusals of callers who proved nothing; capped
)

// VerifyJournals checks both journals of the data directory dir, which a
// server may be writing. Damage is in the reports; an error means that a
// journal could not be read.
func VerifyJournals(dir string) ([]Verification, error) {
	var out []Verification
	for _, sub := range []string{CallsDir, StrangersDir} {
		v, err := verifyJournal(filepath.Join(dir, sub), sub == StrangersDir)
		if err != nil {
			return nil, fmt.Errorf("verify %s: %w", sub, err)
		}
		v.Journal = filepath.Base(sub)
		out = append(out, v)
	}
	return out, nil
}

// verifyJournal checks one journal. A capped one deletes its oldest records
// without a word; of any other each deletion must be on record.
func verifyJournal(dir string, capped bool) (Verification, error) {
	r, err := journal.Verify(nil, dir)
	if err != nil {
		return Verification{}, err
	}
	v := Verification{
		OK: r.OK(), Records: r.Frames, Segments: r.Segments, Bytes: r.Bytes, FirstSeq: r.First, LastSeq: r.Last,
		Head: hex.EncodeToString(r.Head[:]), Erased: r.Erased, Deleted: r.Deleted, Problems: []string{},
	}
	if n := r.Unexplained(); n > 0 && !capped {
		v.OK = false
		v.Problems = append(v.Problems, fmt.Sprintf("records %d to %d are gone, and no retention deleted them", r.Deleted+1, r.Deleted+n))
	}
	for _, d := range r.Damage {
		v.Problems = append(v.Problems, d.Error())
	}
	if r.Tail > 0 {
		v.Problems = append(v.Problems, fmt.Sprintf("the last %d bytes are no whole record: being written now, or left by a crash; the next start cuts them", r.Tail))
	}
	var open ledger.Open
	for e, err := range ledger.Scan(nil, dir, time.Time{}) {
		open.Apply(e.Meta)
		if err != nil && r.OK() {
			v.OK = false
			v.Problems = append(v.Problems, err.Error())
		}
	}
	v.Open = uint64(len(open.Interrupted()))
	return v, nil
}

// ExportJournals writes the calls of both journals in the data directory dir,
// in order of time. A server may be writing them; what it writes meanwhile may
// be missing. When records are damaged, all others are written first.
func ExportJournals(dir string, e Export, w io.Writer) error {
	if e.As == ExportRecords {
		return exportRecords(dir, e, w)
	}
	as := ledger.InvocationLog
	switch e.As {
	case ExportCloudTrail:
		as = ledger.CloudTrail
	case ExportTelemetry:
		as = ledger.Telemetry
	}
	entries := merge(journal.Read(nil, filepath.Join(dir, CallsDir), 0), journal.Read(nil, filepath.Join(dir, StrangersDir), 0))
	_, err := ledger.Export(entries, ledger.ExportOptions{As: as, Join: ledger.JoinOptions{From: e.From, To: e.To, Keys: e.Keys}}, w)
	return err
}

// kindNames are what records are called in an export.
var kindNames = map[journal.Kind]string{
	ledger.KindAdmit: "admit", ledger.KindResult: "result", ledger.KindRefused: "refused", ledger.KindTally: "tally", ledger.KindAccount: "account",
}

// exportRecords writes a line for each record as it stands in the journals,
// with what no format of AWS has a place for: why a call was refused and by
// which limit or policy, what was flagged, masked or only observed.
func exportRecords(dir string, e Export, w io.Writer) error {
	entries := merge(journal.Metas(nil, filepath.Join(dir, CallsDir), e.From), journal.Metas(nil, filepath.Join(dir, StrangersDir), e.From))
	for entry, err := range entries {
		if err != nil {
			return err
		}
		name := kindNames[entry.Kind]
		if name == "" || entry.Time.Before(e.From) || !e.To.IsZero() && !entry.Time.Before(e.To) {
			continue
		}
		if _, err := fmt.Fprintf(w, "{\"record\":%q,\"seq\":%d,%s\n", name, entry.Seq, entry.Meta[1:]); err != nil {
			return err
		}
	}
	return nil
}

// merge yields the entries of a and b by time.
func merge(a, b iter.Seq2[journal.Entry, error]) iter.Seq2[journal.Entry, error] {
	return func(yield func(journal.Entry, error) bool) {
		next, stop := iter.Pull2(b)
		defer stop()
		e2, err2, more := next()
		for e1, err1 := range a {
			for more && err1 == nil && (err2 != nil || e2.Time.Before(e1.Time)) {
				if !yield(e2, err2) {
					return
				}
				e2, err2, more = next()
			}
			if !yield(e1, err1) {
				return
			}
		}
		for ; more; e2, err2, more = next() {
			if !yield(e2, err2) {
				return
			}
		}
	}
}
