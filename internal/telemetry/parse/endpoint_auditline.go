package parse

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// auditLine is one line, taken apart as far as its body.
type auditLine struct {
	kind  string // lower case: syscall, execve, …
	node  string
	stamp string // time and serial as they stand, the key of the event
	time  time.Time
	plain bool // ausearch -i wrote it: nothing is in hex
	body  []byte
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
