package limit

import (
	"strconv"

	"gatehouse/internal/call"
	"gatehouse/internal/store"
)

// measure is what a limit counts.
type measure struct {
	counting store.Counting
	unit     string // for people
	tokens   bool   // a call as large as the whole limit passes when nothing is used
	money    bool

	ask    func(c *call.Call) int64                                       // the most that a call may come to
	settle func(held int64, w Window, c *call.Call, r *call.Result) int64 // what is kept in the end
	more   func(c *call.Call, output int64) int64                         // what so many more output tokens take; nil: nothing
}

// measures are all of them. Upper bounds become what Result says, up or down,
// but for a call that was interrupted, of which nothing is known: it is charged
// in full. Where the model told no usage, Result's estimate is charged.
var measures = map[string]*measure{
	"requests": {unit: "requests", ask: one, settle: requestsKept},
	"input_tokens": {unit: "tokens", tokens: true,
		ask:    func(c *call.Call) int64 { return c.InputEstimate },
		settle: consumed(func(_ *call.Call, r *call.Result) int64 { return input(&r.Usage) }),
	},
	"output_tokens": {unit: "tokens", tokens: true,
		ask:    (*call.Call).OutputBound,
		settle: consumed(func(_ *call.Call, r *call.Result) int64 { return r.Usage.Output }),
		more:   func(_ *call.Call, output int64) int64 { return output },
	},
	// Bedrock's own arithmetic of quotas.
	"tokens": {unit: "tokens", tokens: true,
		ask: func(c *call.Call) int64 { return c.InputEstimate + burnt(c, c.OutputBound()) },
		settle: consumed(func(c *call.Call, r *call.Result) int64 {
			return input(&r.Usage) + burnt(c, r.Usage.Output)
		}),
		more: burnt,
	},
	"usd": {unit: "USD", money: true,
		ask:    (*call.Call).Worst,
		settle: consumed(func(_ *call.Call, r *call.Result) int64 { return r.Cost }),
		more: func(c *call.Call, output int64) int64 {
			if c.Model.Model == nil {
				return 0
			}
			return c.Model.Price.Worst(0, output)
		},
	},
	"concurrency": {counting: store.Leases, unit: "open calls", ask: one,
		settle: func(int64, Window, *call.Call, *call.Result) int64 { return 0 },
	},
	"models": {counting: store.Distinct, unit: "models",
		ask: func(c *call.Call) int64 {
			if c.Model.Model == nil {
				return 0
			}
			return 1
		},
		settle: func(held int64, _ Window, _ *call.Call, _ *call.Result) int64 { return held },
	},
}

func one(*call.Call) int64 { return 1 }

// requestsKept: the calendar is what a user is owed, so a request that did no
// work goes back there, unless what stopped it was the caller's own text.
func requestsKept(held int64, w Window, _ *call.Call, r *call.Result) int64 {
	if w < 0 && !r.Worked && r.Outcome != call.Blocked {
		return 0
	}
	return held
}

func consumed(of func(*call.Call, *call.Result) int64) func(int64, Window, *call.Call, *call.Result) int64 {
	return func(held int64, _ Window, c *call.Call, r *call.Result) int64 {
		if r.Outcome == call.Interrupted {
			return held
		}
		return min(max(0, of(c, r)), maxCount)
	}
}

func input(u *call.Usage) int64 { return u.Input + u.CacheRead + u.CacheWrite }

// burnt is what so many output tokens count for.
func burnt(c *call.Call, output int64) int64 {
	if c.Model.Model == nil {
		return output
	}
	return output * max(1, c.Model.Price.OutputBurn)
}

// text is an amount for people: "12 tokens", "0.25 USD".
func (m *measure) text(n int64) string {
	if !m.money {
		return strconv.FormatInt(n, 10) + " " + m.unit
	}
	return strconv.FormatFloat(float64(n)/float64(USD), 'f', -1, 64) + " " + m.unit
}
