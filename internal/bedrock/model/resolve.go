package model

import (
	"errors"
	"strings"
)

// Why an id does not resolve.
var (
	ErrInvalid = errors.New("the provided model identifier is invalid") // 400
	ErrDenied  = errors.New("the model behind this ARN cannot be told") // 403
)

// Kinds of Ref. An ARN that Profiles resolves has its resource type instead,
// such as "application-inference-profile".
const (
	KindModel           = "model"             // a base id
	KindProfile         = "geo-profile"       // an id with a geo prefix
	KindFoundationModel = "foundation-model"  // an ARN of a base id
	KindProfileARN      = "inference-profile" // an ARN of an id with a geo prefix
)

// maxID is the longest modelId of the service model.
const maxID = 2048

// geos are the prefixes of system inference profiles.
var geos = map[string]bool{
	"us": true, "us-gov": true, "eu": true, "apac": true, "jp": true, "au": true,
	"global": true, "ca": true, "in": true, "sa": true,
}

// Resolve tells which model a decoded path label names. The id must be one of
// the table, or one with a geo prefix before a base id of the table, which then
// prices it; or an ARN of one of these, or an ARN that Profiles has. A model
// that the table has under geo prefixes only resolves under those only, as
// Bedrock has it. The error is ErrInvalid, or ErrDenied when the ARN is of
// another account or hides a model we cannot tell.
func (t *Table) Resolve(id string) (Ref, error) {
	if id == "" || len(id) > maxID || !wellFormed(id) {
		return Ref{}, ErrInvalid
	}
	if strings.HasPrefix(id, "arn:") {
		return t.resolveARN(id)
	}
	ref := Ref{Asked: id, Kind: KindModel}
	if !t.fill(&ref, id) {
		return Ref{}, ErrInvalid
	}
	if ref.Geo != "" {
		ref.Kind = KindProfile
	}
	return ref, nil
}

// wellFormed reports whether id has only the characters of ids and ARNs.
func wellFormed(id string) bool {
	for i := 0; i < len(id); i++ {
		c := id[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == ':', c == '/':
		default:
			return false
		}
	}
	return true
}

// fill sets the model of ref, its base id and its geo.
func (t *Table) fill(ref *Ref, id string) bool {
	ref.Geo, ref.ID = splitGeo(id)
	ref.Model = t.rows[id]
	if again, _ := splitGeo(ref.ID); ref.Model == nil && again == "" {
		ref.Model = t.rows[ref.ID]
	}
	return ref.Model != nil
}

func splitGeo(id string) (geo, base string) {
	if i := strings.IndexByte(id, '.'); i > 0 && geos[id[:i]] {
		return id[:i], id[i+1:]
	}
	return "", id
}

// resolveARN reads arn:partition:service:region:account:type/name.
func (t *Table) resolveARN(arn string) (Ref, error) {
	part := strings.SplitN(arn, ":", 6)
	if len(part) != 6 || part[1] != "aws" && !strings.HasPrefix(part[1], "aws-") || part[3] == "" || part[5] == "" {
		return Ref{}, ErrInvalid
	}
	ref := Ref{Asked: arn, Region: part[3], Account: part[4]}
	kind, name, _ := strings.Cut(part[5], "/")
	foundation := kind == KindFoundationModel
	if foundation != (ref.Account == "") || ref.Account != "" && !isAccount(ref.Account) {
		return Ref{}, ErrInvalid
	}
	if t.Account != "" && !foundation && ref.Account != t.Account {
		return Ref{}, ErrDenied
	}
	ref.Kind = kind
	if id, ok := t.Profiles[arn]; ok {
		if !t.fill(&ref, id) {
			return Ref{}, ErrDenied
		}
		return ref, nil
	}
	if part[2] != "bedrock" || !foundation && kind != KindProfileARN {
		return Ref{}, ErrDenied
	}
	if !t.fill(&ref, name) || foundation != (ref.Geo == "") {
		return Ref{}, ErrInvalid
	}
	return ref, nil
}

func isAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}
