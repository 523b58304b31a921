// Package guards holds the shipped content of the prompt guard.
//
// A pack is a file of rules in YAML, which the guard parses; "default" is the
// one of a new installation. Beside it stands the model of the scorer that its
// rule "score" asks. The model is trained, not written: see test/guardeval.
//
// To add a rule, write it into a pack, and a text that it finds and one that it
// must not find into testdata/guard/rules.jsonl.
package guards

import _ "embed"

// Default is the pack "default".
//
//go:embed default.yaml
var Default []byte

// Injection is the model behind the detector "score:injection".
//
//go:embed injection.model
var Injection []byte
