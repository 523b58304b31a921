package limit

// Sketch is the name of the cluster that a prompt of its own makes.
func Sketch(text string) string {
	var s sketcher
	s.sketch([]byte(text))
	return s.value.String()
}

// Matches is how many bins of two sketches agree, and how many must.
func Matches(a, b string) (n, enough int) {
	x, _ := parseSketch(a)
	y, _ := parseSketch(b)
	return x.matches(&y), alike
}

// Clusters tells how many scopes are kept, and the most clusters of one.
func Clusters(l *Limiter) (scopes, known int) {
	for _, r := range l.rules {
		if r.similar == nil {
			continue
		}
		scopes += len(r.similar.scopes)
		for _, s := range r.similar.scopes {
			known = max(known, len(s.known))
		}
	}
	return scopes, known
}

// Waiters is how many calls wait.
func Waiters(l *Limiter) int { return int(l.waiting.number.Load()) }

// Waiting is how many calls wait, or stand in a queue.
func Waiting(l *Limiter) int {
	l.waiting.mu.Lock()
	defer l.waiting.mu.Unlock()
	return int(l.waiting.number.Load()) + len(l.waiting.queues)
}

// Tables tells which limits keep their counts together, by their names.
func Tables(l *Limiter) (names [][]string) {
	names = make([][]string, len(l.tables))
	for _, r := range l.rules {
		names[r.place] = append(names[r.place], r.Name)
	}
	return names
}
