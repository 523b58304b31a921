package clickhouse

import (
	"fmt"
	"slices"
	"strings"

	"gatehouse/internal/lake"
)

// outside are the functions that read what is no table of the server. The
// server's own grants decide who may; a query of ours has no business there, and
// read-only statements may otherwise call them.
var outside = words(`azureBlobStorage azureBlobStorageCluster cluster clusterAllReplicas deltaLake deltaLakeCluster dictionary executable
	file fileCluster gcs hdfs hdfsCluster hive hudi hudiCluster iceberg icebergS3 icebergAzure icebergHDFS icebergLocal icebergCluster icebergS3Cluster
	jdbc mongodb mysql odbc paimon postgresql redis remote remoteSecure s3 s3Cluster sqlite url urlCluster ytsaurus arrowFlight prometheusQuery
	deltaLakeS3 deltaLakeAzure deltaLakeLocal input loop catboostEvaluate getServerSetting`)

func words(list string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(list) {
		m[strings.ToLower(w)] = true
	}
	return m
}

// refuse finds what the wrapping and the read-only mode leave open: functions
// that read outside, and settings given in the statement, which would lift the
// budget.
func refuse(text string) error {
	s := scanner{text: text}
	for word, quoted, call := s.next(); word != ""; word, quoted, call = s.next() {
		switch w := strings.ToLower(word); {
		case call && (outside[w] || quoted && s.escaped):
			return &lake.SQLError{Message: fmt.Sprintf("the function %s reads what is not in the table of events; it may not be used here", word)}
		case !quoted && w == "settings":
			return &lake.SQLError{Message: "settings may not be changed here"}
		}
	}
	if s.odd {
		return &lake.SQLError{Message: "a statement may not hold $ or curled quotes outside of its literals and quoted names"}
	}
	return nil
}

// scanner walks the words of a statement, past literals and comments.
type scanner struct {
	text    string
	at      int
	escaped bool // the last quoted name held a backslash
	odd     bool // a character was met that begins a literal of another kind
}

// curled are quotes that the server reads as if they were straight.
var curled = []string{"\u2018", "\u2019", "\u201C", "\u201D"}

// next gives a name, quoted or not, and whether a parenthesis follows; "" at the
// end.
func (s *scanner) next() (word string, quoted, call bool) {
	for s.at < len(s.text) {
		c, rest := s.text[s.at], s.text[s.at:]
		switch {
		case c == '\'':
			s.quoted(c)
		case c == '"' || c == '`':
			if word = s.quoted(c); word != "" {
				return word, true, s.call()
			}
		case strings.HasPrefix(rest, "--"), c == '#' && (strings.HasPrefix(rest, "# ") || strings.HasPrefix(rest, "#!")):
			s.past("\n")
		case strings.HasPrefix(rest, "/*"):
			s.past("*/")
		case c == '$' || c == 0 || slices.ContainsFunc(curled, func(q string) bool { return strings.HasPrefix(rest, q) }):
			s.odd = true
			s.at++
		case letter(c):
			from := s.at
			for s.at < len(s.text) && (letter(s.text[s.at]) || s.text[s.at] >= '0' && s.text[s.at] <= '9') {
				s.at++
			}
			return s.text[from:s.at], false, s.call()
		default:
			s.at++
		}
	}
	return "", false, false
}

func letter(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }

// past moves behind the next end, or to the end of all.
func (s *scanner) past(end string) {
	if i := strings.Index(s.text[s.at:], end); i >= 0 {
		s.at += i + len(end)
		return
	}
	s.at = len(s.text)
}

// quoted reads what stands between two of q.
func (s *scanner) quoted(q byte) string {
	var b strings.Builder
	s.escaped = false
	for s.at++; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '\\' && s.at+1 < len(s.text):
			s.at++
			s.escaped = true
			b.WriteByte(s.text[s.at])
		case c == q && s.at+1 < len(s.text) && s.text[s.at+1] == q:
			s.at++
			b.WriteByte(q)
		case c == q:
			s.at++
			return b.String()
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// call says that a parenthesis is next, past blanks and comments.
func (s *scanner) call() bool {
	c := *s
	for c.at < len(c.text) {
		rest := c.text[c.at:]
		switch {
		case strings.HasPrefix(rest, "--"):
			c.past("\n")
		case strings.HasPrefix(rest, "/*"):
			c.past("*/")
		case strings.ContainsRune(" \t\r\n\f\v", rune(rest[0])):
			c.at++
		default:
			return rest[0] == '('
		}
	}
	return false
}
