package ledger

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"gatehouse/internal/awslog"
	"gatehouse/internal/journal"
	"gatehouse/internal/seal"
)

// Format is the shape in which calls are exported.
type Format string

// The formats.
const (
	InvocationLog Format = "invocation" // Bedrock's model invocation log
	CloudTrail    Format = "cloudtrail"
	Telemetry     Format = "telemetry" // both, and what only the gateway knows
)

// ExportOptions choose what Export writes.
type ExportOptions struct {
	As     Format // "" is InvocationLog
	Render RenderOptions
	Join   JoinOptions
}

// Summary counts what an export did.
type Summary struct {
	Written int64 // lines
	Skipped int64 // calls for which the format has no record
	Damaged int64 // entries that could not be read
	Cut     int64 // calls written with an incomplete body
}

// Export writes the calls in entries as JSON, one a line, refused ones too, in
// order of completion, in memory bounded by the calls that are open at once.
// Damage does not end it: the first damage is returned after everything that
// can be read was written; the same for a sealed body whose key is not among
// those given. An error of w ends it at once, and so does a sealed body where no
// keys are given: [seal.ErrNoKey]. CloudTrail's records need no bodies, hence no keys.
func Export(entries iter.Seq2[journal.Entry, error], o ExportOptions, w io.Writer) (Summary, error) {
	var s Summary
	var damage error
	var line []byte
	o.Join.NoBodies = o.Join.NoBodies || o.As == CloudTrail
	for r, err := range Join(entries, o.Join) {
		if o.Join.Keys == nil && errors.Is(err, seal.ErrNoKey) {
			return s, fmt.Errorf("export: %w", err)
		}
		if err != nil {
			if s.Damaged++; damage == nil {
				damage = fmt.Errorf("export: %w", err)
			}
			continue
		}
		v, err := r.render(o)
		if err != nil {
			return s, err
		}
		if v == nil {
			s.Skipped++
			continue
		}
		if line, err = awslog.AppendLine(line[:0], v); err != nil {
			return s, fmt.Errorf("export call %s: %w", r.ID, err)
		}
		if _, err = w.Write(line); err != nil {
			return s, err
		}
		s.Written++
		if !o.Join.NoBodies && (!r.Request.Whole() || !r.Response.Whole()) {
			s.Cut++
		}
	}
	return s, damage
}

// render returns nil where the format has no record of such a call.
func (r *Record) render(o ExportOptions) (any, error) {
	switch o.As {
	case InvocationLog, "":
		if v, ok := r.Invocation(o.Render); ok {
			return v, nil
		}
	case CloudTrail:
		if v, ok := r.CloudTrail(); ok {
			return v, nil
		}
	case Telemetry:
		return r.Telemetry(o.Render), nil
	default:
		return nil, fmt.Errorf("export: unknown format %q, want %s, %s or %s", o.As, InvocationLog, CloudTrail, Telemetry)
	}
	return nil, nil
}
