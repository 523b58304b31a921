package hunts_test

import (
	"maps"
	"slices"
	"testing"

	"gatehouse/internal/event"
	"gatehouse/internal/query"
	"gatehouse/internal/query/op"
)

// TestKnownValues holds the lists by which a query's slips are found against what
// normalising gives the samples: a value that is missing there would warn of
// queries that are right.
func TestKnownValues(t *testing.T) {
	all := shipped(t)
	for _, id := range slices.Sorted(maps.Keys(all)) {
		for _, e := range gather(t, all[id].Sample).events {
			for _, f := range []event.Field{event.StrandName, event.SourceCategory, event.Index, event.Collector} {
				known := op.KnownValues(f.String())
				if v := e.Values[f]; v.Kind == event.Text && !slices.Contains(known, v.S) {
					t.Errorf("%s: %s is %q, which is none of %q", id, f, v.S, known)
				}
			}
		}
	}
}

// TestShippedHuntsDoubtNothingElse: what a shipped hunt warns of is at most that no
// record has a field, which is told apart so that who runs hunts can leave it out.
func TestShippedHuntsDoubtNothingElse(t *testing.T) {
	for id, h := range shipped(t) {
		text, err := h.Text(nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := query.Compile(text, &op.Env{Now: now, Catalogue: query.Catalogue(gather(t, h.Quiet).catalogue)})
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range res.Warnings {
			if !w.Absent {
				t.Errorf("%s: %s", id, w.Message)
			}
		}
	}
}
