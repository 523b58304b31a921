package parse

import (
	"bytes"
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
	args    map[int]string
	pieces  map[[2]int]string // of long arguments: a1[0], a1[1]
	title   string
	userCmd string
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

// appendTextMember appends "name":"value", with the comma before it.
func appendTextMember(dst []byte, name, value string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return appendText(append(appendText(dst, []byte(name)), ':'), []byte(value))
}
