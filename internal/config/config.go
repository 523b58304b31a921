// Package config is Gatehouse's one configuration file: its types, defaults,
// validation, and the documentation of every key.
//
// The file is YAML. Every key is a field of [Config]; the field's tags are the
// single source of the key's name (json), its documentation (doc), the words
// it may hold (enum) and the words, or all values but the default, whose
// feature this version does not have (later). [Load] reads a file strictly:
// unknown and repeated keys, anchors and aliases are refused, and all errors
// of the file come back at once, each with its line, its column and what to do
// next. [Config.Document] prints a configuration as the documented YAML that
// [Load] reads back to the same value.
//
// Secrets never stand in the file; they come by file name. Nothing here
// reaches a stage of the gateway: internal/app fills the stages' own options.
package config

import (
	"net/netip"
	"time"

	"gatehouse/internal/bedrock/model"
)

// Config is a whole configuration. It is a plain value: once loaded it is not
// changed, so any goroutine may read it.
type Config struct {
	Listen       string            `json:"listen" doc:"Address of the data plane: the Bedrock routes and the chat API."`
	AdminListen  string            `json:"admin_listen" doc:"Address of the admin API. Loopback, unless TLS is on. Empty: only the socket in the data directory."`
	IngestListen string            `json:"ingest_listen" doc:"Address that takes pushed telemetry at /ingest/. Loopback, unless TLS is on. Empty: off."`
	TLS          TLS               `json:"tls" doc:"TLS of every TCP listener."`
	AccountID    string            `json:"account_id" doc:"Twelve digits: the account in the ARNs of our callers."`
	Region       string            `json:"region" doc:"The region that callers sign for and that records name."`
	Upstream     Upstream          `json:"upstream" doc:"Where admitted calls go."`
	Registration Registration      `json:"registration" doc:"Who may register for the chat API."`
	Chat         Chat              `json:"chat" doc:"The chat API."`
	Audit        Audit             `json:"audit" doc:"What happens when the journal cannot record."`
	Record       Record            `json:"record" doc:"What the journal keeps of calls."`
	Limits       []Limit           `json:"limits" doc:"Limits: added to the shipped ones, or replacing the shipped one of the same name."`
	Prices       Prices            `json:"prices" doc:"Prices over those of the model table: model id: {input, output, cache_read, cache_write, cache_write_1h} in USD per 1,000 tokens. A model that the table lacks is added."`
	Profiles     map[string]string `json:"profiles" doc:"ARN of an application inference profile, or of a provisioned, custom or imported model: the id of the base model it runs. An ARN that is not here is refused."`
	Policy       Policy            `json:"policy" doc:"Policies."`
	Network      Network           `json:"network" doc:"Which client addresses may call."`
	Guard        Guard             `json:"guard" doc:"What texts may say."`
	LimitStore   LimitStore        `json:"limit_store" doc:"Where limits keep their counts."`
	OIDC         []OIDC            `json:"oidc" doc:"Issuers of tokens that callers may present instead of a key."`
	Alarms       []Alarm           `json:"alarms" doc:"Alarms on metrics: added to the shipped ones, or replacing the shipped one of the same name."`
	Notify       map[string]Notify `json:"notify" doc:"Channels for messages, by name."`
	Telemetry    Telemetry         `json:"telemetry" doc:"What goes into the lake that hunts and rules read."`
	Hunt         Hunt              `json:"hunt" doc:"What one query may take, and what runs it."`
	Content      Content           `json:"content" doc:"Own rules, hunts, guards, flows, lists and models."`
	Respond      Respond           `json:"respond" doc:"What rules may do to callers."`
	Mode         string            `json:"mode" doc:"enforce refuses; observe only records what would have been refused." enum:"enforce,observe"`
}

// TLS is how the TCP listeners speak TLS.
type TLS struct {
	Mode string `json:"mode" doc:"off; auto: a local authority in the data directory signs a certificate; files: cert and key." enum:"off,auto,files"`
	Cert string `json:"cert" doc:"PEM file of the certificate chain, for mode files. Relative to this file."`
	Key  string `json:"key" doc:"PEM file of the certificate's private key, for mode files. Relative to this file."`
}

// Upstream is where admitted calls go.
type Upstream struct {
	Kind                string   `json:"kind" doc:"emulator: the built-in one; bedrock: AWS, with the ordinary AWS credential chain; or the URL of a Bedrock-shaped endpoint."`
	Regions             []string `json:"regions" doc:"AWS regions in order of preference."`
	FirstContentTimeout Duration `json:"first_content_timeout" doc:"Longest wait for the first content of an answer."`
	TotalTimeout        Duration `json:"total_timeout" doc:"Longest time of one call."`
}

// Registration is who may create an account for the chat API.
type Registration struct {
	Mode           string   `json:"mode" doc:"open: anyone who reaches the listener; invite: users are added by an administrator; domains: e-mail addresses of listed domains." enum:"open,invite,domains"`
	Domains        []string `json:"domains" doc:"Domains of e-mail addresses, for mode domains."`
	BeyondLoopback bool     `json:"beyond_loopback" doc:"Says explicitly that mode open is meant on a listener that others can reach."`
	PerIPPerHour   int      `json:"per_ip_per_hour" doc:"Registrations one address (IPv6: /64) may make an hour."`
}

// Chat is the chat API.
type Chat struct {
	Model    string `json:"model" doc:"Id of the model that answers."`
	BasePath string `json:"base_path" doc:"Prefix of the chat routes, such as /prod. Empty: none."`
}

// Audit is what happens when the journal cannot record.
type Audit struct {
	Mode string `json:"mode" doc:"strict: no call without its record; best_effort: serve, count and mark the gap." enum:"strict,best_effort" later:"best_effort"`
}

// Record is what the journal keeps of calls.
type Record struct {
	Bodies       string   `json:"bodies" doc:"full: requests and answers; hash: only their SHA-256; off: neither; redacted: with secrets masked." enum:"full,redacted,hash,off"`
	RetainBodies Duration `json:"retain_bodies" doc:"How long bodies are kept. Their hashes stay, so that the journal still verifies."`
	Retain       Duration `json:"retain" doc:"How long records are kept."`
	KeyFile      string   `json:"key_file" doc:"File of one or more keys of 32 random bytes in base64 (openssl rand -base64 32), one a line: bodies are encrypted with the first before they are written, and opened with all. Relative to this file. Empty: not encrypted."`

	Teams map[string]TeamRecord `json:"teams" doc:"What the journal keeps of the calls of a team, where that differs."`
}

// TeamRecord is what the journal keeps of one team's calls.
type TeamRecord struct {
	Bodies string `json:"bodies" doc:"As record.bodies." enum:"full,redacted,hash,off"`
}

// Limit is one limit: no more than Max of Measure in any Window, for each
// value of Per.
type Limit struct {
	Name         string    `json:"name" doc:"The limit's name; that of a shipped limit replaces it."`
	Per          []string  `json:"per" doc:"What each count is kept for." enum:"key,user,team,ip,country,model,family,similar_prompt,everyone"`
	Measure      string    `json:"measure" doc:"What is counted. concurrency: calls open at once; models: different models." enum:"requests,input_tokens,output_tokens,tokens,usd,concurrency,models"`
	Max          Decimal   `json:"max" doc:"The most that is admitted, of usd in US dollars."`
	Window       Window    `json:"window" doc:"A duration (sliding), day or month (UTC). Not for concurrency."`
	Match        Match     `json:"match" doc:"Which calls count. Empty lists match all."`
	Action       string    `json:"action" doc:"What happens beyond max: refuse; wait for room, then refuse; flag in the record." enum:"refuse,wait,flag"`
	Wait         Duration  `json:"wait" doc:"Longest wait, for action wait."`
	RefuseAs     string    `json:"refuse_as" doc:"throttling (SDKs retry) or quota (they do not). Empty: quota for day, month and usd, throttling otherwise." enum:",throttling,quota"`
	OnStoreError string    `json:"on_store_error" doc:"What holds while a shared store cannot be reached. Empty: deny for tokens and usd, local_share (max divided by the gateways) otherwise." enum:",deny,local_share,allow"`
	AlertAt      []Decimal `json:"alert_at" doc:"Fractions of max, such as 0.8, at which a message is sent once a window."`
	Notify       []string  `json:"notify" doc:"Channels for these messages. Empty: all."`
	Mode         string    `json:"mode" doc:"enforce or observe." enum:"enforce,observe"`
}

// Match is which calls a limit counts. Every list that is not empty must hold
// the call's value.
type Match struct {
	Models  []string `json:"models" doc:"Globs over the normalised model id."`
	Teams   []string `json:"teams" doc:"Teams."`
	Users   []string `json:"users" doc:"Users."`
	Schemes []string `json:"schemes" doc:"How the caller proved itself." enum:"sigv4,api_key,token,oidc"`
}

// Prices are prices over those of the model table. In the file, the models
// stand beside the key unpriced.
type Prices struct {
	Unpriced string           `json:"unpriced" doc:"What happens to a call of a model without a price: deny, or charge the ceiling: the highest price of the table." enum:"deny,ceiling"`
	Models   map[string]Price `json:",embed"`
}

// Price is what a model costs, as decimal text. Empty: as in the model table.
type Price struct {
	Input      string `json:"input" doc:"USD per 1,000 input tokens."`
	Output     string `json:"output" doc:"USD per 1,000 output tokens."`
	CacheRead  string `json:"cache_read" doc:"USD per 1,000 input tokens read from the prompt cache."`
	CacheWrite string `json:"cache_write" doc:"USD per 1,000 input tokens written to the prompt cache."`
	Write1h    string `json:"cache_write_1h" doc:"USD per 1,000 input tokens written to the prompt cache for an hour. Empty: twice input where cache_write is more than input, else as cache_write."`
	Image      string `json:"image" doc:"USD an image."`
	OutputBurn string `json:"output_burn" doc:"How many tokens of a limit one output token takes, as in Bedrock's own quotas."`
}

// Decimals returns the price in the words of the model table.
func (p Price) Decimals() model.Decimals {
	return model.Decimals{Input: p.Input, Output: p.Output, CacheRead: p.CacheRead, CacheWrite: p.CacheWrite, Write1h: p.Write1h, Image: p.Image, OutputBurn: p.OutputBurn}
}

// Policy is the policies that decide whether a call may be made at all.
type Policy struct {
	Cedar     []string `json:"cedar" doc:"Cedar policy files, in place of the shipped policy, which permits every caller what its key allows. Relative to this file."`
	MaxTokens int64    `json:"max_tokens" doc:"Bound on output tokens that is written into a request that has none, if the model's own maximum is not lower."`
	MaxBound  int64    `json:"max_bound" doc:"Highest bound on output tokens that a request may ask for. 0: the model's own maximum."`
	Mode      string   `json:"mode" doc:"enforce or observe." enum:"enforce,observe"`
}

// Network is which client addresses may call.
type Network struct {
	Allow          []Prefix  `json:"allow" doc:"Networks (CIDR) or addresses that may call. Empty: all."`
	Deny           []Prefix  `json:"deny" doc:"Networks (CIDR) or addresses that may not, whatever allow says."`
	Countries      Countries `json:"countries" doc:"Countries, by a database of addresses."`
	TrustedProxies []Prefix  `json:"trusted_proxies" doc:"Networks of the proxies whose X-Forwarded-For is believed."`
}

// Countries is which countries may call.
type Countries struct {
	Allow    []string `json:"allow" doc:"Two-letter codes that may call. Empty: all."`
	Deny     []string `json:"deny" doc:"Two-letter codes that may not."`
	Database string   `json:"database" doc:"File of the address database, in MaxMind's format. Relative to this file."`
}

// Guard is what texts may say.
type Guard struct {
	Packs                 []string          `json:"packs" doc:"Shipped packs of rules. Empty: none." enum:"default"`
	Rules                 []string          `json:"rules" doc:"Files of own rules, which stand before the packs. Relative to this file."`
	Actions               map[string]string `json:"actions" doc:"Rule: the action in place of its own, of off, flag, mask, block."`
	ApplyBedrockGuardrail string            `json:"apply_bedrock_guardrail" doc:"A guardrail, id:version, that Bedrock's ApplyGuardrail is asked about every prompt and answer. Empty: off."`
	OnError               string            `json:"on_error" doc:"What happens to a call whose texts could not be judged: deny, or allow and flag." enum:"deny,allow"`
	Mode                  string            `json:"mode" doc:"enforce or observe." enum:"enforce,observe"`
}

// LimitStore is where limits keep their counts.
type LimitStore struct {
	Kind         string   `json:"kind" doc:"memory: each gateway its own, in the journal; redis: shared, in Redis or Valkey." enum:"memory,redis"`
	URL          string   `json:"url" doc:"redis://HOST:PORT/DB, or rediss:// for TLS. No password here."`
	Username     string   `json:"username" doc:"User name, if any."`
	PasswordFile string   `json:"password_file" doc:"File of the password, if any. Relative to this file."`
	Prefix       string   `json:"prefix" doc:"Begins every key, so that installations can share a server."`
	Timeout      Duration `json:"timeout" doc:"Longest wait for one answer, before on_store_error holds."`
}

// OIDC is an issuer of tokens.
type OIDC struct {
	Issuer    string            `json:"issuer" doc:"The issuer's URL, as in its tokens."`
	Audience  string            `json:"audience" doc:"What aud must hold."`
	JWKS      string            `json:"jwks" doc:"URL or file of the issuer's keys. Empty: as the issuer's discovery document says."`
	UserClaim string            `json:"user_claim" doc:"The claim that names the user."`
	TeamClaim string            `json:"team_claim" doc:"The claim, text or list, that names the team. Empty: team default."`
	Teams     map[string]string `json:"teams" doc:"Value of the team claim: our team. Empty: the value is the team."`
	Require   map[string]string `json:"require" doc:"Claim: the value it must have."`
	Algs      []string          `json:"algs" doc:"Signature algorithms that are accepted." enum:"RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,EdDSA"`
	CAFile    string            `json:"ca_file" doc:"PEM file of the authority of the issuer's certificate, if it is a private one. Relative to this file."`
	Private   bool              `json:"private" doc:"The issuer may be at a private or loopback address."`
}

// Alarm is an alarm on a metric, with CloudWatch's meaning.
type Alarm struct {
	Name              string            `json:"name" doc:"The alarm's name; that of a shipped alarm replaces it."`
	Metric            string            `json:"metric" doc:"The metric, as CloudWatch names it in AWS/Bedrock." enum:"Invocations,InvocationLatency,InvocationClientErrors,InvocationServerErrors,InvocationThrottles,InputTokenCount,OutputTokenCount,OutputImageCount,TimeToFirstToken,Cost,Refusals,GuardBlocked"`
	By                string            `json:"by" doc:"One alarm for each value of this; limit: of Refusals and InvocationThrottles only. Empty: one for all calls." enum:",model,user,team,key,limit"`
	Match             map[string]string `json:"match" doc:"Dimension (model, user, team, key, limit): glob its value must match."`
	Statistic         string            `json:"statistic" doc:"SampleCount, Sum, Average, Minimum, Maximum, or a percentile such as p99."`
	Period            Duration          `json:"period" doc:"Length of a period."`
	Comparison        string            `json:"comparison" doc:"How the statistic compares to the threshold in alarm." enum:"GreaterThanThreshold,GreaterThanOrEqualToThreshold,LessThanThreshold,LessThanOrEqualToThreshold"`
	Threshold         Decimal           `json:"threshold" doc:"The threshold. Latencies are in milliseconds, Cost in USD."`
	EvaluationPeriods int64             `json:"evaluation_periods" doc:"How many periods are looked at."`
	DatapointsToAlarm int64             `json:"datapoints_to_alarm" doc:"How many of them must breach. 0: all."`
	Missing           string            `json:"treat_missing_data" doc:"What a period without data counts as." enum:"missing,notBreaching,breaching,ignore"`
	Notify            []string          `json:"notify" doc:"Channels. Empty: all."`
	Enabled           bool              `json:"enabled" doc:"false turns the alarm of this name off."`
}

// Notify is a channel for messages.
type Notify struct {
	Kind         string   `json:"kind" doc:"What speaks to it." enum:"webhook,slack,smtp,sns"`
	URL          string   `json:"url" doc:"https URL, of webhook."`
	URLFile      string   `json:"url_file" doc:"File of the URL, of webhook and slack, whose URL is a secret. Relative to this file."`
	SecretFile   string   `json:"secret_file" doc:"File of the key that signs TIMESTAMP.BODY (HMAC-SHA256, in X-Gatehouse-Signature as v1=HEX), of webhook. Relative to this file."`
	Server       string   `json:"server" doc:"host:port, of smtp: port 25, 465, 587 or 2525, with TLS, unless private. A password always needs TLS."`
	From         string   `json:"from" doc:"Sender, of smtp."`
	To           []string `json:"to" doc:"Recipients, of smtp."`
	Username     string   `json:"username" doc:"User name, of smtp, if any."`
	PasswordFile string   `json:"password_file" doc:"File of the password, of smtp. Relative to this file."`
	Topic        string   `json:"topic" doc:"ARN of the topic, of sns."`
	Private      bool     `json:"private" doc:"The receiver may be at a private or loopback address, and on any port. Metadata services stay closed."`
}

// Telemetry is what goes into the lake.
type Telemetry struct {
	Mode        string            `json:"mode" doc:"on: the gateway's calls and every source go into the lake; off: nothing does." enum:"on,off"`
	Retain      Duration          `json:"retain" doc:"How long events are kept, by their own time."`
	MaxGiB      int               `json:"max_gib" doc:"Disk that the lake may take, in GiB: the oldest events go first. 0: no bound."`
	IntakeGiB   int               `json:"intake_gib" doc:"Disk that pushed records may take until they are in the lake, in GiB."`
	SecretFile  string            `json:"secret_file" doc:"File of the secret that pushes carry, as bearer token or Firehose access key. Relative to this file. Needed where ingest_listen is not loopback."`
	ASNDatabase string            `json:"asn_database" doc:"File of the database of networks, in MaxMind's format. Relative to this file. Countries come from network.countries.database."`
	Bodies      string            `json:"bodies" doc:"Where bodies are that invocation records only refer to: a folder with a folder for each bucket, relative to this file, or s3. Empty: they are not read."`
	Sources     []TelemetrySource `json:"sources" doc:"What is collected, beside the gateway's own calls and what is pushed."`
}

// TelemetrySource is one place that telemetry is collected from. One of Path,
// S3, Queue and LogGroup is set.
type TelemetrySource struct {
	Name     string `json:"name" doc:"Names the source in the state that a restart goes on from."`
	Path     string `json:"path" doc:"File, folder or glob. Watched. Relative to this file."`
	S3       string `json:"s3" doc:"s3://bucket/prefix that is listed."`
	Queue    string `json:"queue" doc:"URL of the SQS queue that gets the notifications of a bucket."`
	LogGroup string `json:"log_group" doc:"CloudWatch Logs group that is polled."`
	Region   string `json:"region" doc:"AWS region of s3, queue and log_group. Empty: region above."`
	Endpoint string `json:"endpoint" doc:"URL in place of AWS's, for a private endpoint or a stand-in. Empty: AWS."`
	Strand   string `json:"strand" doc:"What the records are. Empty: told record by record." enum:",management,data,invocation,endpoint,metrics"`
}

// Hunt is what queries may take.
type Hunt struct {
	Engine    string   `json:"engine" doc:"duckdb: on this machine; clickhouse: on the server of dsn." enum:"duckdb,clickhouse"`
	DSNFile   string   `json:"dsn_file" doc:"File of the ClickHouse address, http(s)://user:password@host:port/database. Relative to this file."`
	MemoryMiB int      `json:"memory_mib" doc:"Memory of one query, in MiB."`
	Timeout   Duration `json:"timeout" doc:"Time of one query."`
	MaxRows   int      `json:"max_rows" doc:"Rows of one result."`
	AtOnce    int      `json:"at_once" doc:"Queries that run at the same time; others wait."`
}

// Content is a directory of own content.
type Content struct {
	Dir string `json:"dir" doc:"Directory that overrides or adds rules, hunts, guards, flows, lists and models." later:"*"`
}

// Respond is what rules may do to callers.
type Respond struct {
	Enabled    bool     `json:"enabled" doc:"Lets rules throttle or block callers." later:"*"`
	MaxPerHour int      `json:"max_per_hour" doc:"Responses an hour." later:"*"`
	MaxTTL     Duration `json:"max_ttl" doc:"Longest life of a response." later:"*"`
}

// Default returns the configuration of an empty file.
func Default() *Config {
	return &Config{
		Listen:       "127.0.0.1:8080",
		AdminListen:  "127.0.0.1:8081",
		TLS:          TLS{Mode: "off"},
		AccountID:    "000000000000",
		Region:       "us-east-1",
		Upstream:     Upstream{Kind: "emulator", Regions: []string{"us-east-1"}, FirstContentTimeout: seconds(15), TotalTimeout: seconds(15 * 60)},
		LimitStore:   LimitStore{Kind: "memory", Prefix: "gatehouse", Timeout: Duration(100 * time.Millisecond)},
		OIDC:         []OIDC{},
		Registration: Registration{Mode: "open", Domains: []string{}, PerIPPerHour: 5},
		Chat:         Chat{Model: "cohere.command-text-v14"},
		Audit:        Audit{Mode: "strict"},
		Record:       Record{Bodies: "full", RetainBodies: days(30), Retain: days(365), Teams: map[string]TeamRecord{}},
		Limits:       []Limit{},
		Prices:       Prices{Unpriced: "deny", Models: map[string]Price{}},
		Profiles:     map[string]string{},
		Policy:       Policy{Cedar: []string{}, MaxTokens: 4096, Mode: "enforce"},
		Network: Network{
			Allow: []Prefix{}, Deny: []Prefix{}, TrustedProxies: []Prefix{},
			Countries: Countries{Allow: []string{}, Deny: []string{}},
		},
		Guard:     Guard{Packs: []string{"default"}, Rules: []string{}, Actions: map[string]string{}, OnError: "deny", Mode: "enforce"},
		Alarms:    []Alarm{},
		Notify:    map[string]Notify{},
		Telemetry: Telemetry{Mode: "on", Retain: days(90), IntakeGiB: 4, Sources: []TelemetrySource{}},
		Hunt:      Hunt{Engine: "duckdb", MemoryMiB: 768, Timeout: seconds(60), MaxRows: 100_000, AtOnce: 2},
		Respond:   Respond{MaxPerHour: 20, MaxTTL: days(1)},
		Mode:      "enforce",
	}
}

// defaultLimit is what the keys hold that a limit leaves out.
func defaultLimit() Limit {
	return Limit{
		Per: []string{}, Action: "refuse", Wait: seconds(5), Mode: "enforce", AlertAt: []Decimal{}, Notify: []string{},
		Match: Match{Models: []string{}, Teams: []string{}, Users: []string{}, Schemes: []string{}},
	}
}

// defaultAlarm is what the keys hold that an alarm leaves out.
func defaultAlarm() Alarm {
	return Alarm{
		Match: map[string]string{}, Statistic: "Sum", Period: seconds(300), Comparison: "GreaterThanThreshold",
		EvaluationPeriods: 1, Missing: "missing", Notify: []string{}, Enabled: true,
	}
}

// defaultOIDC is what the keys hold that an issuer leaves out.
func defaultOIDC() OIDC {
	return OIDC{UserClaim: "email", Teams: map[string]string{}, Require: map[string]string{}, Algs: []string{"RS256", "ES256"}}
}

func seconds(n int) Duration { return Duration(time.Duration(n) * time.Second) }
func days(n int) Duration    { return Duration(time.Duration(n) * 24 * time.Hour) }

// Prefixes returns ps as the standard library's type.
func Prefixes(ps []Prefix) []netip.Prefix {
	out := make([]netip.Prefix, len(ps))
	for i, p := range ps {
		out[i] = netip.Prefix(p)
	}
	return out
}
