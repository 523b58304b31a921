// Package admin is the administrator's side of Gatehouse: users, teams, keys,
// models, limits and the journal.
//
// [API] is what can be done, in words that are also the JSON of the wire. Two
// things implement it: internal/app over an open data directory, and [Client]
// over the socket of a running server. The command line speaks API and does
// not know which it has. [Handler] serves an API over HTTP by one table of
// routes, from which the OpenAPI document is made too.
//
// There are two doors. The Unix socket in the data directory has mode 0600:
// who can open it may do everything. A TCP listener asks for the admin token
// and checks the Host against names of this machine, so that a web page cannot
// reach it by rebinding a name. Secrets leave only in the answer that creates
// them; no list holds one.
package admin

import (
	"context"
	"io"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"gatehouse/internal/seal"
)

// API is all that an administrator can do. Errors are [*Error] where the
// caller can do something about them. Methods may be called concurrently.
type API interface {
	Users
	Erasures
	Teams
	Keys
	Models
	Limits
	Freezes
	Scans
	Watches
	Telemetry
	Journal
	Server
}

// Users manages accounts. A user is named by its name.
type Users interface {
	ListUsers(ctx context.Context) ([]User, error)
	AddUser(ctx context.Context, u NewUser) (IssuedUser, error)
	// SetDisabled makes the user's keys and tokens useless within a second, or
	// the keys good again.
	SetDisabled(ctx context.Context, user string, disabled bool) (User, error)
	// ResetUser voids the user's login tokens, ends a lockout and, if asked,
	// replaces the password by a random one.
	ResetUser(ctx context.Context, user string, newPassword bool) (IssuedUser, error)
}

// Teams manages the labels that users and keys carry.
type Teams interface {
	ListTeams(ctx context.Context) ([]Team, error)
	SetTeam(ctx context.Context, user, team string) (User, error)
}

// Keys manages credentials. Changes take effect within a second.
type Keys interface {
	ListKeys(ctx context.Context) ([]Key, error)
	CreateKey(ctx context.Context, k NewKey) (IssuedKey, error)
	// RotateKey issues a key with the scope of the old one, which stays good
	// for the overlap, or until its own expiry when that comes first.
	RotateKey(ctx context.Context, id string, overlap time.Duration) (IssuedKey, error)
	RevokeKey(ctx context.Context, id string) (Key, error)
}

// Models tells what can be called and what it costs.
type Models interface {
	ListModels(ctx context.Context) ([]Model, error)
	// ShowModel resolves an id, a profile id or an ARN as the gateway would.
	ShowModel(ctx context.Context, id string) (Model, error)
}

// Limits tells how much is used.
type Limits interface {
	ListLimits(ctx context.Context) ([]Limit, error)
}

// Journal reads the record of calls.
type Journal interface {
	// JournalHead tells where the journal stands, once what it still held in
	// memory is on disk, so that who reads the files next finds it.
	JournalHead(ctx context.Context) (Head, error)
	// VerifyJournal checks every chain hash on disk and tells what it found,
	// one report for each journal.
	VerifyJournal(ctx context.Context) ([]Verification, error)
	// ExportJournal writes one JSON record a line to w.
	ExportJournal(ctx context.Context, e Export, w io.Writer) error
}

// Server tells about the running server, or about the program that opened the
// data directory.
type Server interface {
	Info(ctx context.Context) (Info, error)
	// Config is the effective configuration, which holds no secrets.
	Config(ctx context.Context) (jsontext.Value, error)
}

// User is one account.
type User struct {
	ID          string    `json:"id" doc:"UUID, never reused"`
	Name        string    `json:"name" doc:"e-mail address or plain name"`
	Team        string    `json:"team" doc:"label; empty: default"`
	Disabled    bool      `json:"disabled" doc:"neither tokens nor keys work"`
	HasPassword bool      `json:"has_password" doc:"can log in to the chat API"`
	Invited     bool      `json:"invited" doc:"holds an invitation that is still good"`
	CreatedAt   time.Time `json:"created_at"`
}

// NewUser is a user to add. With neither Password nor Invite it can use keys only.
type NewUser struct {
	Name     string `json:"name" doc:"e-mail address, or 1 to 64 letters, digits and _+=.-"`
	Team     string `json:"team,omitzero" doc:"label; empty: default"`
	Password bool   `json:"password,omitzero" doc:"make a random password"`
	Invite   bool   `json:"invite,omitzero" doc:"make an invitation, with which the user registers and sets one; needs an e-mail address"`
}

// IssuedUser is a user with the secret that was asked for, which is shown this once.
type IssuedUser struct {
	User
	Password   string `json:"password,omitzero"`
	Invitation string `json:"invitation,omitzero" doc:"good for seven days"`
}

// Reset is what to renew of a user.
type Reset struct {
	Password bool `json:"password,omitzero" doc:"replace the password by a random one"`
}

// Team is a label and who carries it.
type Team struct {
	Name  string `json:"name"`
	Users int    `json:"users" doc:"users that carry the label"`
	Keys  int    `json:"keys" doc:"live keys that carry it"`
}

// TeamOf is the label that a user shall carry.
type TeamOf struct {
	Team string `json:"team" doc:"label; empty: default"`
}

// Key is one credential, without its secrets.
type Key struct {
	ID         string    `json:"id" doc:"the SigV4 access key id"`
	APIID      string    `json:"api_id" doc:"the public part of the API key"`
	Name       string    `json:"name"`
	User       string    `json:"user"`
	Team       string    `json:"team"`
	State      string    `json:"state" doc:"live, expired, revoked, or disabled with its user"`
	Models     []string  `json:"models" doc:"globs over the normalised model id; empty: all"`
	Operations []string  `json:"operations" doc:"operation names; empty: all"`
	Networks   []string  `json:"networks" doc:"CIDR; empty: all"`
	CreatedAt  time.Time `json:"created_at"`
	ExpiresAt  time.Time `json:"expires_at,omitzero" doc:"absent: never"`
	RevokedAt  time.Time `json:"revoked_at,omitzero"`
	LastUsedAt time.Time `json:"last_used_at,omitzero" doc:"to the minute; absent: never"`
	Successor  string    `json:"successor,omitzero" doc:"the key that a rotation made of this one"`
}

// NewKey is a key to create.
type NewKey struct {
	Name       string    `json:"name"`
	User       string    `json:"user,omitzero" doc:"name of the owner, who must exist; empty: admin, who is made when missing"`
	Team       string    `json:"team,omitzero" doc:"label; empty: the user's"`
	ExpiresAt  time.Time `json:"expires_at,omitzero" doc:"absent: never"`
	Models     []string  `json:"models,omitzero"`
	Operations []string  `json:"operations,omitzero"`
	Networks   []string  `json:"networks,omitzero"`
}

// Rotation is how a key is replaced.
type Rotation struct {
	Overlap string `json:"overlap" doc:"how long the old key stays good, such as 24h; 0s: not at all"`
}

// IssuedKey is a new key with its secrets, which are shown this once.
type IssuedKey struct {
	Key
	AccessKeyID     string `json:"access_key_id"`
	SecretAccessKey string `json:"secret_access_key"`
	APIKey          string `json:"api_key"`
}

// Model is a row of the model table.
type Model struct {
	ID         string   `json:"id"`
	Provider   string   `json:"provider"`
	Family     string   `json:"family" doc:"how its native body is shaped"`
	Input      []string `json:"input" doc:"modalities"`
	Output     []string `json:"output" doc:"modalities"`
	Context    int64    `json:"context" doc:"tokens; 0: unknown"`
	MaxOutput  int64    `json:"max_output" doc:"tokens; 0: unknown"`
	Priced     bool     `json:"priced" doc:"a price is known"`
	InputUSD   string   `json:"input_usd_per_1k" doc:"USD per 1,000 tokens, exact decimal"`
	OutputUSD  string   `json:"output_usd_per_1k"`
	CacheRead  string   `json:"cache_read_usd_per_1k" doc:"empty: charged as input"`
	CacheWrite string   `json:"cache_write_usd_per_1k" doc:"empty: charged as input"`
	ImageUSD   string   `json:"usd_per_image" doc:"empty: makes none, or no price is known"`
	Source     string   `json:"source" doc:"where the price comes from"`
	BaseID     string   `json:"base_id" doc:"the id that scopes, limits and records go by: without the geo prefix"`
	Geo        string   `json:"geo" doc:"where a geo profile runs it: us, eu, global, …; empty: the region that is asked"`
}

// Limit is how much of one limit one key of it has used.
type Limit struct {
	Limit    string    `json:"limit" doc:"the limit's name"`
	Per      string    `json:"per" doc:"what the count is kept for"`
	Key      string    `json:"key" doc:"which of them"`
	Measure  string    `json:"measure" doc:"what is counted, of measure usd in nano-USD"`
	Max      int64     `json:"max"`
	Used     int64     `json:"used"`
	Reserved int64     `json:"reserved" doc:"part of used that calls under way hold"`
	Debt     int64     `json:"debt" doc:"what calls used beyond their reservation"`
	ResetsAt time.Time `json:"resets_at,omitzero"`
}

// Head is where the journal stands.
type Head struct {
	LastSeq  uint64   `json:"last_seq" doc:"number of the last durable record"`
	Chain    string   `json:"chain" doc:"its chain hash, hex"`
	Bytes    int64    `json:"bytes" doc:"on disk"`
	Segments int      `json:"segments"`
	Healthy  bool     `json:"healthy"`
	Error    string   `json:"error,omitzero" doc:"why it records nothing"`
	Warnings []string `json:"warnings,omitzero" doc:"what is wrong without stopping calls"`
}

// Verification is what checking one journal found.
type Verification struct {
	Journal  string   `json:"journal" doc:"calls or strangers"`
	OK       bool     `json:"ok" doc:"every record present is as it was written"`
	Records  uint64   `json:"records"`
	Segments int      `json:"segments"`
	Bytes    int64    `json:"bytes"`
	FirstSeq uint64   `json:"first_seq"`
	LastSeq  uint64   `json:"last_seq"`
	Head     string   `json:"head" doc:"last chain hash, hex: keep it elsewhere to prove later that nothing was cut"`
	Erased   uint64   `json:"erased" doc:"records whose body was erased, or kept as its SHA-256 only"`
	Deleted  uint64   `json:"deleted" doc:"records that retention deleted: those up to this number"`
	Open     uint64   `json:"open" doc:"admitted calls without a result: cut by a crash, or under way"`
	Problems []string `json:"problems" doc:"what is damaged, and what a crash left"`
}

// Export is which records to write, and how.
type Export struct {
	As   string    // ExportInvocations or ExportCloudTrail
	From time.Time // zero: from the first
	To   time.Time // zero: to the last

	Keys *seal.Keys // open the bodies that are sealed; a server has its own
}

// The forms of an export.
const (
	ExportInvocations = "invocations" // AWS's model invocation log, one call a line
	ExportCloudTrail  = "cloudtrail"  // CloudTrail records
	ExportTelemetry   = "telemetry"   // both and what only the gateway knows, as hunts read it
	ExportRecords     = "records"     // what the journal itself says, notes and reasons included; no bodies
)

// ExportForms are the forms of an export, the default first.
var ExportForms = []string{ExportInvocations, ExportCloudTrail, ExportTelemetry, ExportRecords}

// Info is about the running program.
type Info struct {
	Version   string    `json:"version"`
	Go        string    `json:"go"`
	Endpoint  string    `json:"endpoint" doc:"base URL of the data plane"`
	Region    string    `json:"region" doc:"region that callers sign for"`
	CAFile    string    `json:"ca_file,omitzero" doc:"PEM file of the local authority, with TLS auto"`
	StartedAt time.Time `json:"started_at,omitzero" doc:"absent: no server is running"`
}
