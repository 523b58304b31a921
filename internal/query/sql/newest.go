package sql

import (
	"slices"
	"strconv"
	"strings"

	"gatehouse/internal/event"
	"gatehouse/internal/query/core"
)

// The newest rows of a scan are asked for most, with all their texts. Engines
// that sort whole rows would read and hold every text of the lake for it. The
// time of the last row that is wanted is found first, by the times alone; then
// only rows from there on are read, and files and row groups before it not at
// all. (1 M rows of 1.3 KB, the newest 100,000: 0.2 s, where sorting them all
// ran out of 512 MiB.)

// newest adds that condition to a selection that is sorted by time, where its
// other conditions are cheap enough to be met twice. Every record has a time.
func (p *Printer) newest(s *selection, keys []core.Key, n int64) error {
	if len(keys) == 0 || p.d.Newest == 0 || n <= p.d.Newest || s.from != "events" || !s.plain || s.costly {
		return nil
	}
	by := keys[0]
	if by.Expr.Op != core.Column || by.Expr.Name != event.MessageTime.String() {
		return nil
	}
	at, err := p.d.Ident(by.Expr.Name)
	if err != nil {
		return err
	}
	op, least, way := " <= ", "max", ""
	if by.Desc {
		op, least, way = " >= ", "min", " DESC"
	}
	where := ""
	if len(s.where) > 0 {
		where = " WHERE " + strings.Join(s.where, " AND ")
	}
	s.where = append(s.where, at+op+"(SELECT "+least+"("+at+") FROM (SELECT "+at+" FROM events"+where+
		" ORDER BY "+at+way+" LIMIT "+strconv.FormatInt(n, 10)+"))")
	return nil
}

// wide are the columns of texts of any length.
var wide = func() []string {
	names := []string{"_raw"}
	for _, c := range event.Columns {
		if c.Wide {
			names = append(names, c.Name)
		}
	}
	return names
}()

// costly says that a condition reads a wide column.
func costly(e *core.Expr) bool {
	found := false
	core.Walk(e, func(e *core.Expr) { found = found || e.Op == core.Column && slices.Contains(wide, e.Name) })
	return found
}
