package notify

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// quiet keeps one piece of news from being told again and again: the first
// message of a key is sent, further ones within span are counted, and when it
// is over the last of them is sent, with their number. Channels are part of the
// key: news for one does not silence another.
type quiet struct {
	span time.Duration

	mu   sync.Mutex
	news map[string]*told
}

type told struct {
	since    time.Time
	last     Message
	channels []string
	repeats  int
}

// maxNews bounds memory. News beyond it is not kept quiet.
const maxNews = 4096

// first says whether m is to be sent now.
func (q *quiet) first(m Message, channels []string, now time.Time) bool {
	if m.Key == "" {
		return true
	}
	key := m.Key + "\x00" + strings.Join(channels, "\x00")
	q.mu.Lock()
	defer q.mu.Unlock()
	if t := q.news[key]; t != nil {
		t.last = m
		t.repeats++
		return false
	}
	if q.news == nil {
		q.news = map[string]*told{}
	}
	if len(q.news) < maxNews {
		q.news[key] = &told{since: now, channels: slices.Clone(channels)}
	}
	return true
}

// over sends the summaries that are due and forgets news that was not repeated.
func (q *quiet) over(now time.Time, send func(Message, []string)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for key, t := range q.news {
		switch {
		case now.Sub(t.since) < q.span:
		case t.repeats == 0:
			delete(q.news, key)
		default:
			m := t.last
			m.id = rand.Text()
			m.Fields = append(slices.Clone(m.Fields), Field{"Repeated", fmt.Sprintf("%d times since %s", t.repeats, t.since.UTC().Format(time.RFC3339))})
			send(m, t.channels)
			t.since, t.repeats = now, 0
		}
	}
}
