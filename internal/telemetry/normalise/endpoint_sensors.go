package normalise

import (
	"bytes"
	"math"
	"strings"
	"time"

	"github.com/valyala/fastjson"

	"gatehouse/internal/event"
)

// This file has what single sensors need beyond a path.

var defenderAccount = domainUser("AccountDomain", "AccountName", "AccountUpn")

func defenderUser(doc *fastjson.Value, c *cell) {
	if p := doc.Get("properties"); p != nil {
		doc = p
	}
	defenderAccount(doc, c)
}

// jamfClock adds Jamf's milliseconds to its seconds.
var jamfClock = endpointClock{paths("header.time_seconds_epoch"), func(doc *fastjson.Value) (time.Time, bool) {
	h := doc.Get("header")
	t, ok := Time(orNull(h.Get("time_seconds_epoch")))
	return t.Add(time.Duration(h.GetInt("time_milliseconds_offset")) * time.Millisecond), ok
}}

// jamfSpawned reads a column of a process. A spawn is told by the parent, which
// is its subject, and anything else by the process itself: the first name is
// for a spawn, the others are for the rest.
func jamfSpawned(spawn string, others ...string) func(*fastjson.Value, *cell) {
	return func(doc *fastjson.Value, c *cell) {
		if isSpawn(doc) {
			c.oneOf(doc, spawn)
			return
		}
		c.oneOf(doc, others...)
	}
}

func isSpawn(doc *fastjson.Value) bool {
	return string(doc.GetStringBytes("header", "event_name")) == "AUE_POSIX_SPAWN" && doc.Exists("arguments", "child_PID")
}

// jamfImage is the program. The path of a spawn is now and then that of a file
// it was given.
func jamfImage(doc *fastjson.Value, c *cell) {
	if !isSpawn(doc) {
		c.oneOf(doc, "subject.process_name", "path")
		return
	}
	if p := doc.GetStringBytes("path", "0"); len(p) > 0 && !strings.HasPrefix(string(p), "/dev/") {
		c.text(p)
		return
	}
	if argv := listOf(doc.Get("exec_args", "args")); len(argv) > 0 {
		c.str(argv[0])
	}
}

func jamfSuccess(doc *fastjson.Value, c *cell) {
	if v := doc.Get("return", "error"); v != nil {
		c.boolean(v.GetInt() == 0)
	}
}

func jamfAlert(doc *fastjson.Value) *fastjson.Value {
	if in := doc.Get("input"); in != nil {
		return in
	}
	return doc
}

var jamfAlertClock = clock("input.match.event.timestamp", "match.event.timestamp", "input.timestamp", "timestamp")

// jamfProcess is the process that an alert is about: the one that its event
// names, or the first.
func jamfProcess(doc *fastjson.Value) *fastjson.Value {
	a := jamfAlert(doc)
	return orNull(processByID(a, a.Get("match", "event", "pid"), a.Get("related", "processes", "0")))
}

func jamfParent(doc *fastjson.Value) *fastjson.Value {
	return orNull(processByID(jamfAlert(doc), jamfProcess(doc).Get("ppid"), nil))
}

func processByID(alert, pid, other *fastjson.Value) *fastjson.Value {
	if pid != nil {
		for _, p := range alert.GetArray("related", "processes") {
			if p.Exists("pid") && p.GetInt64("pid") == pid.GetInt64() {
				return p
			}
		}
	}
	return other
}

func inProcess(names ...string) func(*fastjson.Value, *cell) {
	return func(doc *fastjson.Value, c *cell) { c.oneOf(jamfProcess(doc), names...) }
}

// jamfUser finds the name of the process's user id.
func jamfUser(doc *fastjson.Value, c *cell) {
	uid := jamfProcess(doc).Get("uid")
	for _, u := range jamfAlert(doc).GetArray("related", "users") {
		if uid == nil || u.GetInt64("uid") == uid.GetInt64() {
			c.said(u.Get("name"))
			return
		}
	}
	c.said(uid)
}

// auditUser is who logged in, even if it is root who acts now: by name, where
// auditd looked it up.
func auditUser(doc *fastjson.Value, c *cell) {
	for _, line := range []string{"syscall", "user_cmd"} {
		c.oneOf(doc.Get(line), "auid_name", "auid", "uid_name", "uid")
		if c.filled() {
			return
		}
	}
}

func auditSuccess(doc *fastjson.Value, c *cell) {
	switch string(doc.GetStringBytes("syscall", "success")) {
	case "yes":
		c.boolean(true)
	case "no":
		c.boolean(false)
	}
}

// osqueryCommandLine passes rows that went away: their process was told of when
// it came.
func osqueryCommandLine(doc *fastjson.Value, c *cell) {
	if string(doc.GetStringBytes("action")) != "removed" {
		c.oneOf(doc, "columns.cmdline")
	}
}

// crowdStrikeImage puts together what a detection has apart: folder and file.
func crowdStrikeImage(doc *fastjson.Value, c *cell) {
	e := doc.Get("event")
	if e == nil {
		e = doc
	}
	folder, file := e.GetStringBytes("FilePath"), e.GetStringBytes("FileName")
	if len(folder) == 0 || bytes.HasSuffix(folder, file) {
		c.oneOf(e, "FilePath", "FileName")
		return
	}
	c.str(strings.TrimRight(string(folder), `\/`) + `\` + string(file))
}

// carbonBlackChild reads a column of an event that a process told of its
// child, in which the process itself is the parent: the first name is for
// those, the others are for the rest.
func carbonBlackChild(child string, others ...string) func(*fastjson.Value, *cell) {
	return func(doc *fastjson.Value, c *cell) {
		if !isNothing(doc.Get("target_cmdline")) || !isNothing(doc.Get("childproc_name")) {
			c.oneOf(doc, child)
			return
		}
		c.oneOf(doc, others...)
	}
}

// field reads Falco's output fields, whose names have dots.
func field(f event.Field, names ...string) row {
	return by(f, func(doc *fastjson.Value, c *cell) {
		fields := doc.Get("output_fields")
		for _, n := range names {
			if c.said(fields.Get(n)) {
				return
			}
		}
	})
}

// falcoClock knows both of Falco's outputs: text, and that of gRPC.
var falcoClock = endpointClock{paths("time"), func(doc *fastjson.Value) (time.Time, bool) {
	v := orNull(doc.Get("time"))
	if s := v.GetInt64("seconds"); s > 0 && s < math.MaxInt32 {
		return time.Unix(s, v.GetInt64("nanos")).UTC(), true
	}
	if t, ok := Time(v); ok {
		return t, true
	}
	return Time(orNull(doc.Get("output_fields", "evt.time")))
}}

// ocsf reads OCSF's process, which is at the top of activity and in the
// evidence of a finding.
func ocsf(f event.Field, names ...string) row {
	return by(f, func(doc *fastjson.Value, c *cell) { c.oneOf(ocsfProcess(doc), names...) })
}

func ocsfProcess(doc *fastjson.Value) *fastjson.Value {
	if p := doc.Get("process"); p != nil {
		return p
	}
	if p := doc.Get("evidences", "0", "process"); p != nil {
		return p
	}
	return doc.Get("actor", "process")
}

// ocsfParent reads the parent: the process's own word for it, or else who
// acted.
func ocsfParent(names ...string) func(*fastjson.Value, *cell) {
	return func(doc *fastjson.Value, c *cell) {
		p := ocsfProcess(doc)
		if p == nil {
			return
		}
		if parent := p.Get("parent_process"); parent != nil {
			c.oneOf(parent, names...)
		} else if actor := doc.Get("actor", "process"); actor != p {
			c.oneOf(actor, names...)
		}
	}
}
