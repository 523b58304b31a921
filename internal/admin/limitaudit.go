package admin

// LimitAudit is what recomputing every counter from the journal found.
type LimitAudit struct {
	Equal       bool              `json:"equal" doc:"every counter is what the journal says"`
	Records     int64             `json:"records" doc:"of the journal that were read"`
	LastSeq     uint64            `json:"last_seq" doc:"number of the last of them"`
	Counters    int               `json:"counters" doc:"that hold something"`
	Open        int               `json:"open" doc:"calls under way, which count as what is held for them"`
	Notes       []string          `json:"notes" doc:"what the answer does not cover"`
	Differences []LimitDifference `json:"differences"`
}

// LimitDifference is a counter that is not what the journal says.
type LimitDifference struct {
	Limit      string `json:"limit"`
	Per        string `json:"per"`
	Key        string `json:"key"`
	Measure    string `json:"measure"`
	Used       int64  `json:"used" doc:"as the limits count, with what calls under way hold"`
	Recomputed int64  `json:"recomputed" doc:"as the journal says"`
}
