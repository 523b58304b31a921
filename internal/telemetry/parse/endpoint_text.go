package parse

import (
	"bytes"
	"strings"
)

// textFormats are what is not JSON: event logs as XML, and lines of a Linux
// host, among which audit's and those of Sysmon for Linux are of interest.
var textFormats = []textFormat{
	{name: "xml", match: isXML, scan: scanXML},
	{name: "lines", match: hasLines, scan: scanLines},
}

// isXML tells XML from a syslog header, which begins with a number in brackets.
func isXML(head []byte) bool {
	if line, rest, ok := bytes.Cut(head, []byte("\n")); ok && isRecordHead(line) {
		head = rest
	}
	return len(head) > 1 && head[0] == '<' && (head[1] < '0' || head[1] > '9')
}

// isRecordHead recognises the line that evtx_dump prints before each record,
// be it XML or JSON.
func isRecordHead(b []byte) bool {
	n, ok := bytes.CutPrefix(bytes.TrimSpace(b), []byte("Record "))
	return ok && digits(n) == len(n)
}

// hasLines recognises a log of lines by the header of its first line, or by an
// audit line or an event before anything that could be JSON.
func hasLines(head []byte) bool {
	if syslogHost(head[:min(len(head), 256)]) != "" {
		return true
	}
	for line := range bytes.Lines(head) {
		if _, ok := readAuditLine(line); ok || isEventLine(line) {
			return true
		}
		if bytes.ContainsAny(line, `{["`) {
			return false
		}
	}
	return false
}

// isEventLine recognises an event behind a header, and not within JSON.
func isEventLine(line []byte) bool {
	i := bytes.Index(line, []byte("<Event"))
	return i >= 0 && !bytes.ContainsAny(line[:i], `{"`) && hasEvent(line)
}

// scanXML reads Event elements, whatever stands around them.
func scanXML(t *Text) error {
	var x xmlReader
	for {
		piece, ok := t.Next(eventEnd)
		if !ok {
			return nil
		}
		if err := x.event(t, piece); err != nil {
			return err
		}
	}
}

// scanLines reads lines. What is neither audit's nor an event nor JSON is
// counted and passed: a system's log is full of it.
func scanLines(t *Text) error {
	var x xmlReader
	j := t.s.joiner()
	for {
		line, ok := t.Next("\n")
		if !ok {
			return nil
		}
		line = bytes.TrimSpace(line)
		mine, err := j.line(line, t.s.at)
		switch {
		case mine || len(line) == 0:
		case isEventLine(line):
			err = x.event(t, line)
		case bytes.Contains(line, []byte(`{"`)) && line[len(line)-1] == '}':
			err = t.Record(line[bytes.Index(line, []byte(`{"`)):])
		default:
			err = t.s.skip()
		}
		if err != nil {
			return err
		}
	}
}

// insideLine takes what an envelope holds when it is one audit line or one
// event: too little for the windows of a stream.
func (s *scanner) insideLine(b []byte, depth int) (mine bool, err error) {
	in := &scanner{shared: s.shared, depth: depth, at: s.at, fixed: true}
	if bytes.HasSuffix(b, []byte(eventEnd)) && bytes.Count(b, []byte(eventEnd)) == 1 {
		var x xmlReader
		return true, x.event(&Text{s: in}, b)
	}
	if bytes.IndexByte(b, '\n') >= 0 {
		return false, nil
	}
	return in.joiner().line(b, s.at)
}

// syslogHost gives the host of a syslog header, "" when there is none.
func syslogHost(head []byte) string {
	s := string(head)
	if strings.HasPrefix(s, "<") {
		_, s, _ = strings.Cut(s, ">")
		s = strings.TrimPrefix(s, "1 ")
	}
	f := strings.Fields(s)
	switch {
	case len(f) >= 2 && len(f[0]) >= 19 && f[0][4] == '-': // 2026-03-01T12:00:00Z HOST
		return hostName(f[1])
	case len(f) >= 4 && len(f[0]) == 3 && len(f[2]) == 8 && f[2][2] == ':': // Mar  1 12:00:00 HOST
		return hostName(f[3])
	}
	return ""
}

// hostName gives s when it could be the name of a host.
func hostName(s string) string {
	for _, c := range s {
		if !(c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || strings.ContainsRune("-._:", c)) {
			return ""
		}
	}
	return s
}
