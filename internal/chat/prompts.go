package chat

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gatehouse/internal/call"
)

const (
	defaultPage = 50
	maxPage     = 200
)

// Prompts lists the caller's own prompts, newest first. next is the before of
// the page behind; it is absent on the last one.
func (a *API) Prompts(w http.ResponseWriter, r *http.Request) {
	p, ref := a.o.Tokens.Token(r)
	if ref != nil {
		a.refuse(w, r, errToken, ref)
		return
	}
	limit, before, ok := page(r.URL.RawQuery)
	if !ok {
		a.refuse(w, r, &problem{Message: "limit is 1 to 200, before the next of the page in front", Code: "invalid_request", status: http.StatusBadRequest}, call.BadQuery)
		return
	}
	list, err := a.o.Accounts.Prompts(r.Context(), p.UserID, before, limit)
	if err != nil {
		a.fail(w, err)
		return
	}
	type prompt struct {
		ID     int64     `json:"id"`
		Time   time.Time `json:"time"`
		CallID string    `json:"call_id"`
		Prompt string    `json:"prompt"`
	}
	answer := struct {
		Prompts []prompt `json:"prompts"`
		Next    int64    `json:"next,omitempty"`
	}{Prompts: make([]prompt, len(list))}
	for i, p := range list {
		answer.Prompts[i] = prompt{p.ID, p.Time, p.CallID, p.Text}
	}
	if len(list) == limit {
		answer.Next = list[limit-1].ID
	}
	write(w, http.StatusOK, answer)
}

// page reads ?limit= and ?before=, each at most once and nothing else.
func page(query string) (limit int, before int64, ok bool) {
	q, err := url.ParseQuery(query)
	limit, ok = defaultPage, err == nil
	for name, values := range q {
		n, err := strconv.ParseInt(values[0], 10, 64)
		switch {
		case err != nil || len(values) != 1 || n < 1:
			return 0, 0, false
		case name == "limit" && n <= maxPage:
			limit = int(n)
		case name == "before":
			before = n
		default:
			return 0, 0, false
		}
	}
	return limit, before, ok
}
