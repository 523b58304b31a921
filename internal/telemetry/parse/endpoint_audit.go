package parse

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// Linux's audit writes one event as several lines (SYSCALL, EXECVE, CWD, PATH,
// PROCTITLE), which share a time and a serial number and may be mixed with the
// lines of other events. auditJoiner joins them into one record:
//
//	{"record":"auditd", "time":…, "serial":…, "node":…, "argv":[…], "command_line":…,
//	 "syscall":{…}, "cwd":{…}, "path":[{…}], …}
//
// Values are texts as the line has them, decoded where audit writes hex; the
// names that an enriched log adds (UID="ann") become uid_name. An event ends
// with its EOE line, two seconds of the log later, or when too many are open.
type auditJoiner struct {
	max  int // bytes of one record
	emit func(at place, record []byte) error
	open map[auditKey]*auditEvent
	age  []auditKey // open ones, oldest first
	size int        // bytes held
	json []byte
}

// joiner is the joiner of the whole scan, which delivers what it ends through
// the stream that is being read.
func (s *scanner) joiner() *auditJoiner {
	s.audit.max = s.o.MaxRecord
	s.audit.emit = func(at place, record []byte) error {
		defer func(now place) { s.at = now }(s.at)
		s.at = at
		return s.insideText(record, s.depth)
	}
	return &s.audit
}

const (
	auditOpen = 256             // events open at once
	auditWait = 2 * time.Second // of the log's own time
	auditArgs = 1 << 14         // arguments of one event
)

type auditKey struct {
	node, stamp string
}

type auditEvent struct {
	at      place // of its first line
	time    time.Time
	size    int
	cut     bool // lines were dropped for size
	kinds   []string
	bodies  map[string][][]byte // JSON objects, by kind
	argc    int
	args    map[int]string
	pieces  map[[2]int]string // of long arguments: a1[0], a1[1]
	title   string
	userCmd string
}

// auditLine is one line, taken apart as far as its body.
type auditLine struct {
	kind   string // lower case: syscall, execve, …
	node   string
	stamp  string // time and serial as they stand, the key of the event
	serial string
	time   time.Time
	plain  bool // ausearch -i wrote it: nothing is in hex
	body   []byte
}

// line takes a line, and reports whether it is audit's.
func (j *auditJoiner) line(b []byte, at place) (bool, error) {
	l, ok := readAuditLine(b)
	if !ok {
		return false, nil
	}
	if err := j.expire(l.node, l.time); err != nil {
		return true, err
	}
	key := auditKey{l.node, l.stamp}
	if l.kind == "eoe" {
		return true, j.close(key)
	}
	e := j.open[key]
	if e == nil {
		if j.open == nil {
			j.open = make(map[auditKey]*auditEvent)
		}
		e = &auditEvent{at: at, time: l.time, bodies: make(map[string][][]byte)}
		j.open[key] = e
		j.age = append(j.age, key)
	}
	if e.size+len(b) > j.max {
		e.cut = true
		return true, nil
	}
	e.size += len(b)
	j.size += len(b)
	e.add(l)
	return true, nil
}

// expire ends the oldest events while there are too many, and those that a host
// has done with by its own clock: the clocks of several hosts in one log differ.
func (j *auditJoiner) expire(node string, now time.Time) error {
	for len(j.age) > 0 && (len(j.age) > auditOpen || j.size > j.max) {
		if err := j.close(j.age[0]); err != nil {
			return err
		}
	}
	for i := 0; i < len(j.age); {
		key := j.age[i]
		if key.node != node || now.Sub(j.open[key].time) < auditWait {
			i++
			continue
		}
		if err := j.close(key); err != nil {
			return err
		}
	}
	return nil
}

// flush ends all events.
func (j *auditJoiner) flush() error {
	for len(j.age) > 0 {
		if err := j.close(j.age[0]); err != nil {
			return err
		}
	}
	return nil
}

// close ends one event and emits it.
func (j *auditJoiner) close(key auditKey) error {
	e := j.open[key]
	if e == nil {
		return nil
	}
	delete(j.open, key)
	j.size -= e.size
	for i, k := range j.age {
		if k == key {
			j.age = append(j.age[:i], j.age[i+1:]...)
			break
		}
	}
	j.json = e.appendJSON(j.json[:0], key)
	return j.emit(e.at, j.json)
}

// auditKinds are the numbers that the kernel's own log has for names.
var auditKinds = map[string]string{
	"1300": "syscall", "1302": "path", "1307": "cwd", "1309": "execve", "1320": "eoe",
	"1327": "proctitle", "1123": "user_cmd", "1306": "sockaddr", "1400": "avc",
}

// readAuditLine reads the head of a line:
//
//	[syslog or kernel header] [node=HOST] type=KIND msg=audit(TIME:SERIAL): BODY
func readAuditLine(b []byte) (l auditLine, ok bool) {
	i := bytes.Index(b, []byte("type="))
	if i < 0 || i > 512 || bytes.ContainsAny(b[:i], "{\"") { // JSON may quote a line
		return l, false
	}
	head, rest := b[:i], b[i+len("type="):]
	kind, rest, _ := bytes.Cut(rest, []byte(" "))
	rest = bytes.TrimPrefix(bytes.TrimLeft(rest, " "), []byte("msg="))
	rest, ok = bytes.CutPrefix(rest, []byte("audit("))
	if !ok {
		return l, false
	}
	stamp, body, ok := bytes.Cut(rest, []byte(")"))
	if !ok || len(stamp) > 64 || len(kind) == 0 || len(kind) > 64 {
		return l, false
	}
	l.plain = bytes.HasPrefix(body, []byte(" "))
	l.body = bytes.TrimLeft(body, " :")
	l.stamp = string(stamp)
	l.kind = strings.ToLower(string(kind))
	if name, ok := auditKinds[l.kind]; ok {
		l.kind = name
	}
	if _, node, ok := bytes.Cut(head, []byte("node=")); ok {
		l.node = string(bytes.TrimSpace(node))
	} else {
		l.node = syslogHost(head)
	}
	colon := strings.LastIndexByte(l.stamp, ':')
	if colon < 0 {
		return l, false
	}
	l.serial = l.stamp[colon+1:]
	l.time, ok = auditTime(l.stamp[:colon])
	return l, ok
}

// auditTime reads seconds since 1970, or what ausearch -i makes of them.
func auditTime(s string) (time.Time, bool) {
	if sec, ms, ok := strings.Cut(s, "."); ok {
		n, err := strconv.ParseInt(sec, 10, 40)
		m, err2 := strconv.ParseInt(ms, 10, 32)
		if err == nil && err2 == nil {
			return time.Unix(n, m*int64(time.Millisecond)).UTC(), len(ms) == 3
		}
	}
	for _, layout := range []string{"01/02/2006 15:04:05.000", "2006-01-02 15:04:05.000", "01/02/06 15:04:05.000"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// add adds the body of a line.
func (e *auditEvent) add(l auditLine) {
	object := []byte{'{'}
	auditFields(l.body, func(name, value string, quoted bool) {
		if !quoted && !l.plain && (auditHex[name] || l.kind == "execve" && isArgument(name)) {
			value = unhex(value)
		}
		switch {
		case l.kind == "execve" && e.argument(name, value):
			return
		case l.kind == "proctitle" && name == "proctitle":
			e.title = value
		case l.kind == "user_cmd" && name == "cmd":
			e.userCmd = value
		}
		object = appendTextMember(object, name, value)
	})
	object = append(object, '}')
	if e.bodies[l.kind] == nil {
		e.kinds = append(e.kinds, l.kind)
	}
	e.bodies[l.kind] = append(e.bodies[l.kind], object)
}

// argument takes a member of an EXECVE line that is an argument, or a piece of
// one, and reports whether it was.
func (e *auditEvent) argument(name, value string) bool {
	if name == "argc" {
		e.argc, _ = strconv.Atoi(value)
		return false
	}
	if !isArgument(name) || len(e.args)+len(e.pieces) >= auditArgs {
		return false
	}
	number, piece, split := strings.Cut(strings.TrimSuffix(name[1:], "]"), "[")
	n, err := strconv.Atoi(number)
	if err != nil || n >= auditArgs {
		return strings.HasSuffix(name, "_len")
	}
	if !split {
		if e.args == nil {
			e.args = make(map[int]string)
		}
		e.args[n] = value
		return true
	}
	p, err := strconv.Atoi(piece)
	if err != nil {
		return false
	}
	if e.pieces == nil {
		e.pieces = make(map[[2]int]string)
	}
	e.pieces[[2]int{n, p}] = value
	return true
}

// isArgument recognises a0, a1[2] and a1_len.
func isArgument(name string) bool {
	return len(name) > 1 && name[0] == 'a' && name[1] >= '0' && name[1] <= '9'
}

// argv puts the arguments together. One that no line told is "".
func (e *auditEvent) argv() []string {
	n := 0
	for i := range e.args {
		n = max(n, i+1)
	}
	for i := range e.pieces {
		n = max(n, i[0]+1)
	}
	argv := make([]string, n)
	for i := range argv {
		argv[i] = e.args[i]
		for p := 0; ; p++ {
			piece, ok := e.pieces[[2]int{i, p}]
			if !ok {
				break
			}
			argv[i] += piece
		}
	}
	if n == 0 && strings.IndexByte(e.title, 0) >= 0 {
		return strings.Split(strings.TrimRight(e.title, "\x00"), "\x00")
	}
	return argv
}

// appendJSON appends the event as one object.
func (e *auditEvent) appendJSON(dst []byte, key auditKey) []byte {
	dst = appendTextMember(append(dst, '{'), "record", "auditd")
	dst = appendTextMember(dst, "time", e.time.Format("2006-01-02T15:04:05.000Z07:00"))
	dst = appendTextMember(dst, "serial", key.stamp[strings.LastIndexByte(key.stamp, ':')+1:])
	if key.node != "" {
		dst = appendTextMember(dst, "node", key.node)
	}
	argv := e.argv()
	commandLine := strings.Join(argv, " ")
	if len(argv) > 0 {
		dst = append(dst, `,"argv":[`...)
		for i, a := range argv {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendText(dst, []byte(a))
		}
		dst = append(dst, ']')
	} else if commandLine = e.title; commandLine == "" {
		commandLine = e.userCmd
	}
	if commandLine != "" {
		dst = appendTextMember(dst, "command_line", commandLine)
	}
	if e.cut {
		dst = append(dst, `,"truncated":true`...)
	}
	for _, kind := range e.kinds {
		dst = append(appendText(append(dst, ','), []byte(kind)), ':')
		bodies := e.bodies[kind]
		if len(bodies) == 1 && kind != "path" {
			dst = append(dst, bodies[0]...)
			continue
		}
		dst = append(append(append(dst, '['), bytes.Join(bodies, []byte{','})...), ']')
	}
	return append(dst, '}')
}

// auditHex are the members that hold what somebody else chose, which audit
// writes in hex when it has a space or a quote in it.
var auditHex = map[string]bool{
	"exe": true, "comm": true, "ocomm": true, "cwd": true, "name": true, "proctitle": true,
	"cmd": true, "acct": true, "key": true, "data": true, "dir": true, "path": true, "file": true,
}

// unhex decodes a value that is hex; one that is not stays as it is.
func unhex(s string) string {
	if len(s) < 2 || len(s)%2 != 0 {
		return s
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return s
	}
	return string(b)
}

// auditFields calls f for each NAME=VALUE of a body. The values of the part
// that auditd adds behind a group separator get names of their own.
func auditFields(b []byte, f func(name, value string, quoted bool)) {
	enriched := false
	for len(b) > 0 {
		switch b[0] {
		case ' ', '\t', ',', '\'', '\r':
			b = b[1:]
			continue
		case 0x1d:
			enriched, b = true, b[1:]
			continue
		}
		end := bytes.IndexAny(b, "= \x1d")
		if end <= 0 || b[end] != '=' {
			b = b[max(end, 1):] // a word, as of AVC
			if end < 0 {
				return
			}
			continue
		}
		name := string(b[:end])
		b = bytes.TrimPrefix(b[end+1:], []byte("'")) // msg='…' holds members
		if name == "msg" {
			continue
		}
		value, quoted, rest := auditValue(name, b)
		b = rest
		if enriched {
			name = strings.ToLower(name) + "_name"
		}
		if value != "(null)" || quoted {
			f(name, value, quoted)
		}
	}
}

// auditValue reads a value: in quotes, to the next space, or, for a title
// that was decoded, to the end.
func auditValue(name string, b []byte) (value string, quoted bool, rest []byte) {
	if len(b) > 0 && b[0] == '"' {
		if in, after, ok := bytes.Cut(b[1:], []byte{'"'}); ok {
			return string(in), true, after
		}
	}
	end := bytes.IndexAny(b, " \x1d'")
	if name == "proctitle" {
		end = bytes.IndexByte(b, 0x1d)
	}
	if end < 0 {
		end = len(b)
	}
	return strings.TrimRight(string(b[:end]), "\r\n"), false, b[end:]
}

// appendTextMember appends "name":"value", with the comma before it.
func appendTextMember(dst []byte, name, value string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return appendText(append(appendText(dst, []byte(name)), ':'), []byte(value))
}
