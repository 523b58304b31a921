package sql

import (
	"strconv"
	"strings"
)

// selection is one SELECT being put together. Clauses are added while the
// language's own order of evaluation allows it; then it becomes a CTE and a
// new one begins over it.
type selection struct {
	from   string
	cols   []string // select items
	names  []string // their names, quoted
	plain  bool     // every item is a column of from, by its own name
	where  []string
	group  string
	order  string
	limit  int64
	capped bool              // limit is set
	json   map[string]string // texts of JSON that from has beside its columns, see json.go
	extra  []string          // the columns that hold them
	costly bool              // where reads texts of any length
}

// text is the statement.
func (s *selection) text() string {
	var b strings.Builder
	b.WriteString("SELECT " + strings.Join(s.cols, ", "))
	b.WriteString("\n  FROM " + s.from)
	for i, w := range s.where {
		word := "\n WHERE "
		if i > 0 {
			word = "\n   AND "
		}
		b.WriteString(word + w)
	}
	for _, clause := range []struct{ word, text string }{{"\n GROUP BY ", s.group}, {"\n ORDER BY ", s.order}} {
		if clause.text != "" {
			b.WriteString(clause.word + clause.text)
		}
	}
	if s.capped {
		b.WriteString("\n LIMIT " + strconv.FormatInt(s.limit, 10))
	}
	return b.String()
}

// filterable says that a further condition may join the WHERE clause: nothing
// that is evaluated after it has been added yet.
func (s *selection) filterable() bool {
	return s.plain && s.group == "" && s.order == "" && !s.capped
}

// orderable says that an ORDER BY over the output may be added. Names in it
// would mean the items' aliases, so there may be none that hide a column.
func (s *selection) orderable() bool {
	return s.plain && s.group == "" && s.order == "" && !s.capped
}
