package normalise

import (
	"strings"
	"time"

	"github.com/valyala/fastjson"

	"gatehouse/internal/event"
)

// Events of Windows' log come in many exports, which differ in where they keep
// what the event itself says (its data) and what the log says (its system):
//
//	XML, evtx_dump   Event.EventData.Image              Event.System.Computer
//	python-evtx      Event.EventData.Data[@Name=Image]  Event.System.Computer
//	Winlogbeat       winlog.event_data.Image            winlog.computer_name
//	Wazuh            data.win.eventdata.image           data.win.system.computer
//	nxlog, Azure     Image                              Hostname, Computer

// windowsData finds a value of the event's data.
func windowsData(doc *fastjson.Value, name string) *fastjson.Value {
	if in := doc.Get("Event", "EventData"); in != nil {
		if v := in.Get(name); v != nil {
			return v
		}
		return namedData(in.Get("Data"), name)
	}
	if in := doc.Get("winlog", "event_data"); in != nil {
		return in.Get(name)
	}
	if in := doc.Get("data", "win", "eventdata"); in != nil {
		return in.Get(strings.ToLower(name[:1]) + name[1:])
	}
	return doc.Get(name)
}

// namedData finds an element of a list of Data elements by its name, in the
// spellings of converters.
func namedData(list *fastjson.Value, name string) *fastjson.Value {
	if list == nil {
		return nil
	}
	if list.Type() == fastjson.TypeObject {
		return list.Get(name)
	}
	elements, _ := list.Array()
	for _, e := range elements {
		for _, key := range [...][]string{{"@Name"}, {"Name"}, {"#attributes", "Name"}, {"_Name"}} {
			if string(e.GetStringBytes(key...)) != name {
				continue
			}
			for _, text := range [...]string{"#text", "text", "Value", "__text", "$"} {
				if v := e.Get(text); v != nil {
					return v
				}
			}
		}
	}
	return nil
}

// windows makes a row of a name in the event's data.
func windows(f event.Field, name string) row {
	return by(f, func(doc *fastjson.Value, c *cell) { c.said(windowsData(doc, name)) })
}

var windowsHost = one(event.DeviceHostname, "Event.System.Computer", "winlog.computer_name", "data.win.system.computer",
	"Computer", "Hostname", "HostName", "host.hostname", "host.name", "MachineName")

// windowsClock prefers the time that Sysmon itself notes, which is UTC whatever
// the exporter does; nxlog writes EventTime in local time without saying so.
var windowsClock = endpointClock{logTime.paths, func(doc *fastjson.Value) (time.Time, bool) {
	if t, ok := Time(orNull(windowsData(doc, "UtcTime"))); ok {
		return t, true
	}
	return logTime.read(doc)
}}

var logTime = clock("Event.System.TimeCreated.#attributes.SystemTime", "Event.System.TimeCreated.@SystemTime",
	"Event.System.TimeCreated.SystemTime", "data.win.system.systemTime", "@timestamp", "TimeCreated", "EventTime", "TimeGenerated", "timestamp")

// windowsCreator is the parent of a 4688, whose own id is NewProcessId.
func windowsCreator(doc *fastjson.Value, c *cell) {
	if windowsData(doc, "NewProcessId") != nil {
		c.said(windowsData(doc, "ProcessId"))
	}
}

// windowsUser is whose process a 4688 starts: the target where the creator
// starts it for somebody else, or else the creator.
func windowsUser(doc *fastjson.Value, c *cell) {
	for _, who := range []string{"Target", "Subject"} {
		name, domain := windowsData(doc, who+"UserName"), windowsData(doc, who+"DomainName")
		switch {
		case isNothing(name):
		case isNothing(domain):
			c.value(name)
			return
		default:
			c.str(str(domain) + `\` + str(name))
			return
		}
	}
}

// windowsEventID is the number of the event, 0 when there is none.
func windowsEventID(doc *fastjson.Value) int64 {
	for _, way := range [...][]string{
		{"Event", "System", "EventID", "#text"}, {"Event", "System", "EventID"}, {"winlog", "event_id"},
		{"data", "win", "system", "eventID"}, {"EventID"},
	} {
		if v := doc.Get(way...); v != nil {
			if n, ok := integer(v); ok {
				return n
			}
		}
	}
	return 0
}
