package normalise

import (
	"strconv"
	"strings"

	"github.com/valyala/fastjson"

	"gatehouse/internal/event"
	"gatehouse/internal/telemetry/value"
)

// What a process did, in OCSF's numbers.
const (
	processLaunch    = 1
	processTerminate = 2
	processOther     = 99
)

var processActivities = map[int]string{processLaunch: "Launch", processTerminate: "Terminate", processOther: "Other"}

// appendProcessActivity appends e, an event of the endpoint strand, as OCSF's
// Process Activity (1007). doc is its record, which goes along as raw_data; one
// that is OCSF already stays as it is.
func appendProcessActivity(dst []byte, e *event.Event, doc *fastjson.Value) []byte {
	if e.Format == "ocsf" {
		return append(dst, e.Raw...)
	}
	o := ocsfObject{dst: append(dst, '{')}
	o.processClass(processActivity(e, doc))
	o.number("severity_id", 1)
	o.number("time", e.Time.UnixMilli())
	o.processMetadata(e)
	o.object("device", func() {
		o.text("hostname", e.Text(event.DeviceHostname))
		o.number("type_id", 0)
	})
	o.object("actor", func() {
		o.object("process", func() { o.parent(e) })
		o.user(e)
	})
	o.object("process", func() { o.process(e, doc) })
	if s := e.Values[event.Success]; s.Kind == event.Bool {
		o.number("status_id", 2-s.N) // 1 Success, 2 Failure
		o.text("status", [...]string{"Failure", "Success"}[s.N])
	}
	o.object("unmapped", func() {
		o.text("cli_service", e.Text(event.CLIService))
		o.text("cli_verb", e.Text(event.CLIVerb))
	})
	o.text("raw_data", string(e.Raw))
	return append(o.dst, '}')
}

func (o *ocsfObject) processClass(activity int) {
	o.number("activity_id", int64(activity))
	o.text("activity_name", processActivities[activity])
	o.number("category_uid", 1)
	o.text("category_name", "System Activity")
	o.number("class_uid", 1007)
	o.text("class_name", "Process Activity")
	o.number("type_uid", int64(100700+activity))
	o.text("type_name", "Process Activity: "+processActivities[activity])
}

func (o *ocsfObject) processMetadata(e *event.Event) {
	o.object("metadata", func() {
		o.text("version", "1.8.0")
		o.text("uid", e.Text(event.MessageID))
		o.text("event_code", e.Text(event.Action))
		o.object("product", func() {
			o.text("name", e.Text(event.MetadataProduct))
			o.text("vendor_name", e.Text(event.MetadataVendor))
		})
	})
}

func (o *ocsfObject) process(e *event.Event, doc *fastjson.Value) {
	o.text("cmd_line", e.Text(event.CommandLine))
	o.program(e.Text(event.BaseImage))
	o.integer("pid", e.Values[event.PID])
	o.text("working_directory", workingDirectory(doc))
	o.user(e)
	o.object("parent_process", func() { o.parent(e) })
}

func (o *ocsfObject) parent(e *event.Event) {
	o.text("cmd_line", e.Text(event.ParentCommandLine))
	o.program(e.Text(event.ParentBaseImage))
	o.integer("pid", e.Values[event.ParentPID])
}

func (o *ocsfObject) user(e *event.Event) {
	o.object("user", func() { o.text("name", e.Text(event.UserUsername)) })
}

// program appends the name and the file of a program.
func (o *ocsfObject) program(image string) {
	if image == "" {
		return
	}
	name := image[strings.LastIndexAny(image, `/\`)+1:]
	o.text("name", name)
	o.object("file", func() {
		o.text("name", name)
		if name != image {
			o.text("path", image)
		}
		o.number("type_id", 1) // a regular file
	})
}

// processActivity tells starts and ends; other things that a sensor saw a
// process do are other.
func processActivity(e *event.Event, doc *fastjson.Value) int {
	action := e.Text(event.Action)
	id := windowsEventID(doc)
	switch {
	case action == "removed", action == "snapshot":
		return processOther
	case action == "AUE_EXIT", strings.HasSuffix(action, ".procend"), action == "EndOfProcess", doc.Exists("event", "exit"),
		e.Format == "sysmon" && id == 5, e.Format == "windows" && id == 4689:
		return processTerminate
	case e.Values[event.CommandLine].Kind == event.None,
		strings.HasPrefix(action, "endpoint.event.") && !strings.HasSuffix(action, ".procstart"):
		return processOther
	}
	return processLaunch
}

// workingDirectories are where sensors write it.
var workingDirectories = waysOf([]string{
	"event.exec.cwd.path", "cwd.cwd", "user_cmd.cwd", "columns.cwd", "process.working_directory", "Event.EventData.CurrentDirectory",
	"winlog.event_data.CurrentDirectory", "CurrentDirectory", "data.win.eventdata.currentDirectory",
})

func workingDirectory(doc *fastjson.Value) string {
	for _, w := range workingDirectories {
		if b := doc.GetStringBytes(w...); len(b) > 0 {
			return string(b)
		}
	}
	return ""
}

// ocsfObject appends members to JSON, and leaves out what is empty.
type ocsfObject struct{ dst []byte }

func (o *ocsfObject) name(name string) {
	if o.dst[len(o.dst)-1] != '{' {
		o.dst = append(o.dst, ',')
	}
	o.dst = append(value.AppendText(o.dst, []byte(name)), ':')
}

func (o *ocsfObject) text(name, s string) {
	if s != "" {
		o.name(name)
		o.dst = value.AppendText(o.dst, []byte(s))
	}
}

func (o *ocsfObject) number(name string, n int64) {
	o.name(name)
	o.dst = strconv.AppendInt(o.dst, n, 10)
}

func (o *ocsfObject) integer(name string, v event.Value) {
	if v.Kind == event.Int {
		o.number(name, v.N)
	}
}

func (o *ocsfObject) object(name string, members func()) {
	from := len(o.dst)
	o.name(name)
	o.dst = append(o.dst, '{')
	empty := len(o.dst)
	if members(); len(o.dst) == empty {
		o.dst = o.dst[:from]
		return
	}
	o.dst = append(o.dst, '}')
}
