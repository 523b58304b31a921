package chat

import (
	"net/http"
	"strconv"
	"strings"
)

// dailyLimit is the name of the limit that queries and balance are about.
const dailyLimit = "chat-day"

// quotaOf reads the daily limit's items of RateLimit and RateLimit-Policy:
//
//	RateLimit: "chat-day";r=49;t=3600, "requests";r=99;t=60
//	RateLimit-Policy: "chat-day";q=50;w=86400, "requests";q=100;w=60
func quotaOf(h http.Header) quota {
	left, ok1 := parameter(h.Get("Ratelimit"), dailyLimit, "r")
	all, ok2 := parameter(h.Get("Ratelimit-Policy"), dailyLimit, "q")
	if !ok1 || !ok2 {
		return quota{}
	}
	used := max(0, all-left)
	return quota{Queries: &used, Balance: &left}
}

// left reports whether there are questions left: another limit refused.
func (q quota) left() bool { return q.Balance != nil && *q.Balance > 0 }

// spent is the quota of somebody who was refused by it.
func spent(q quota) quota {
	if q.Queries == nil {
		q.Queries = new(int64)
	}
	q.Balance = new(int64)
	return q
}

// parameter returns a parameter of the list item with that name. The gateway
// writes these headers, so this reads its form and no other.
func parameter(list, item, name string) (int64, bool) {
	for member := range strings.SplitSeq(list, ",") {
		parts := strings.Split(strings.TrimSpace(member), ";")
		if parts[0] != strconv.Quote(item) {
			continue
		}
		for _, p := range parts[1:] {
			if v, ok := strings.CutPrefix(p, name+"="); ok {
				n, err := strconv.ParseInt(v, 10, 64)
				return n, err == nil && n >= 0
			}
		}
	}
	return 0, false
}
