package parse

import (
	"bytes"

	"github.com/valyala/fastjson"

	"gatehouse/internal/event"
)

// endpointFormats are the records of sensors on endpoints, each recognised by
// names that only its sensor uses.
var endpointFormats = []format{
	endpoint("auditd", func(v *fastjson.Value) bool { return has(v, "record", "serial") && is(v, "record", "auditd") }),
	endpoint("jamf", isJamfAudit),
	endpoint("jamf-alert", isJamfAlert),
	endpoint("jamf-telemetry", func(v *fastjson.Value) bool { return isESEvent(v) && isJamf(v) }),
	endpoint("eslogger", isESEvent),
	endpoint("sysmon", isSysmon),
	endpoint("windows", isWindows),
	endpoint("defender", isDefender),
	endpoint("crowdstrike", isCrowdStrike),
	endpoint("carbonblack", isCarbonBlack),
	endpoint("falco", both("output_fields", "rule")),
	endpoint("ocsf", isOCSFProcess),
	endpoint("osquery", both("hostIdentifier", "columns")),
	{match: isOsqueryBatch, unwrap: unwrapOsquery},
	{match: func(v *fastjson.Value) bool { return has(v, "node_key", "log_type") && listMember("data")(v) }, unwrap: list("data")},
	endpoint("ecs", isECSProcess),
}

// wideFormats are tried when no sensor is recognised: by the names alone that
// sensors give to a command line, which no envelope has.
var wideFormats = []format{
	endpoint("endpoint", hasCommandLine),
}

func endpoint(name string, match func(*fastjson.Value) bool) format {
	return format{name: name, strand: event.Endpoint, match: match}
}

// isJamfAudit takes Jamf Protect's older telemetry, which is OpenBSM's audit.
func isJamfAudit(v *fastjson.Value) bool {
	return has(v, "header") && bytes.HasPrefix(text(v.Get("header", "event_name")), []byte("AUE_")) ||
		has(v, "exec_args", "subject")
}

// isJamfAlert takes an alert of Jamf Protect's analytics, which may stand in
// "input".
func isJamfAlert(v *fastjson.Value) bool {
	if has(v, "input") {
		v = v.Get("input")
	}
	return has(v, "related", "match") && v.Get("related", "processes") != nil
}

// isESEvent takes macOS's Endpoint Security messages as eslogger and Jamf
// Protect write them.
func isESEvent(v *fastjson.Value) bool {
	return has(v, "event", "process") && v.Get("process", "audit_token") != nil &&
		v.Get("event").Type() == fastjson.TypeObject
}

func isJamf(v *fastjson.Value) bool {
	return bytes.HasPrefix(text(v.Get("metadata", "product")), []byte("Jamf")) ||
		bytes.HasPrefix(text(v.Get("metadata", "vendor")), []byte("Jamf"))
}

// windowsLogs are where the exports of Windows' event log say which log an
// event is of: as XML and evtx_dump, python-evtx, Winlogbeat, nxlog and Azure,
// Wazuh.
var windowsLogs = [][]string{
	{"Event", "System", "Provider", "#attributes", "Name"},
	{"Event", "System", "Provider", "@Name"},
	{"Event", "System", "Provider", "Name"},
	{"Event", "System", "Channel"},
	{"winlog", "provider_name"},
	{"winlog", "channel"},
	{"SourceName"},
	{"ProviderName"},
	{"Provider_Name"},
	{"EventSourceName"},
	{"Source"},
	{"Channel"},
	{"data", "win", "system", "providerName"},
}

func isSysmon(v *fastjson.Value) bool {
	if !isWindows(v) {
		return false
	}
	for _, path := range windowsLogs {
		if bytes.Contains(text(v.Get(path...)), []byte("Sysmon")) {
			return true
		}
	}
	return false
}

// isWindows takes an event of Windows' log in any of those exports.
func isWindows(v *fastjson.Value) bool {
	switch {
	case has(v, "Event"):
		return objectMember("System")(v.Get("Event"))
	case has(v, "winlog"):
		return has(v.Get("winlog"), "event_id")
	case has(v, "EventID"):
		return has(v, "Channel") || has(v, "SourceName") || has(v, "ProviderName") || has(v, "Provider_Name") ||
			has(v, "EventSourceName") || has(v, "NewProcessName") || has(v, "ProcessGuid")
	}
	return has(v, "data") && v.Get("data", "win", "system") != nil
}

// isDefender takes a row of Microsoft Defender's hunting tables, as Event Hubs
// carry it or as a query exports it.
func isDefender(v *fastjson.Value) bool {
	if has(v, "category", "properties") && bytes.HasPrefix(text(v.Get("category")), []byte("AdvancedHunting-")) {
		return true
	}
	return has(v, "DeviceName") && (has(v, "ProcessCommandLine") || has(v, "InitiatingProcessFileName") || has(v, "ActionType", "ReportId"))
}

// isCrowdStrike takes records of the Falcon Data Replicator and of the event
// stream.
func isCrowdStrike(v *fastjson.Value) bool {
	return has(v, "event_simpleName") ||
		has(v, "metadata", "event") && has(v.Get("metadata"), "customerIDString", "eventType") ||
		has(v, "event") && has(v.Get("event"), "event_simpleName")
}

// isCarbonBlack takes events that Carbon Black forwards, in the spellings of
// its three products, and its alerts.
func isCarbonBlack(v *fastjson.Value) bool {
	if has(v, "type") {
		t := text(v.Get("type"))
		if bytes.HasPrefix(t, []byte("endpoint.event.")) || bytes.HasPrefix(t, []byte("ingress.event.")) {
			return true
		}
	}
	return has(v, "process_cmdline") && (has(v, "device_name") || has(v, "process_guid") || has(v, "device_id"))
}

// isOCSFProcess takes OCSF's system activity, and findings about a process.
func isOCSFProcess(v *fastjson.Value) bool {
	if !has(v, "class_uid", "metadata") {
		return false
	}
	class := v.GetInt("class_uid")
	return class >= 1000 && class < 2000 ||
		has(v, "process") || v.Get("evidences", "0", "process") != nil
}

// isOsqueryBatch takes osquery's results of several rows.
func isOsqueryBatch(v *fastjson.Value) bool {
	return has(v, "hostIdentifier") && (has(v, "snapshot") || has(v, "diffResults"))
}

// unwrapOsquery gives each row as osquery's event log would have written it.
func unwrapOsquery(s *scanner, v *fastjson.Value, depth int) error {
	for _, list := range [...]struct {
		path   []string
		action string
	}{
		{[]string{"snapshot"}, "snapshot"},
		{[]string{"diffResults", "added"}, "added"},
		{[]string{"diffResults", "removed"}, "removed"},
	} {
		for _, row := range v.GetArray(list.path...) {
			p := s.level(depth)
			p.text = appendOsqueryRow(p.text[:0], v, row, list.action)
			if err := s.insideText(p.text, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func appendOsqueryRow(dst []byte, v, row *fastjson.Value, action string) []byte {
	dst = append(append(append(dst, `{"action":"`...), action...), `","columns":`...)
	dst = appendJSON(dst, row)
	o, _ := v.Object()
	o.Visit(func(key []byte, v *fastjson.Value) {
		switch string(key) {
		case "snapshot", "diffResults", "action", "columns":
			return
		}
		dst = append(appendText(append(dst, ','), key), ':')
		dst = appendJSON(dst, v)
	})
	return append(dst, '}')
}

// isECSProcess takes records of Elastic's agents about a process.
func isECSProcess(v *fastjson.Value) bool {
	if !has(v, "process", "@timestamp") {
		return false
	}
	p := v.Get("process")
	return has(p, "command_line") || has(p, "args") || has(p, "executable")
}

// commandLines are the names by which a record of an unknown sensor is taken
// for a process.
var commandLines = [][]string{
	{"commandLine"}, {"command_line"}, {"cmd_line"}, {"cmdline"}, {"CommandLine"}, {"ProcessCommandLine"},
	{"process_cmdline"}, {"process_command_line"}, {"CmdLine"},
	{"process", "command_line"}, {"process", "cmd_line"}, {"process", "cmdline"}, {"process", "commandLine"},
	{"process.command_line"}, {"process.cmd_line"}, {"tgt.process.cmdline"}, {"src.process.cmdline"},
	{"tgtProcCmdLine"}, {"srcProcCmdLine"}, {"event", "CommandLine"}, {"evidences", "0", "process", "cmd_line"},
}

func hasCommandLine(v *fastjson.Value) bool {
	if v.Type() != fastjson.TypeObject {
		return false
	}
	for _, path := range commandLines {
		if v.Get(path...) != nil {
			return true
		}
	}
	return false
}
