package config

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/bedrock/model"
)

// checker reports what is wrong with values that were read.
type checker struct {
	c *Config
	d *decoder
}

// check validates what the types and tags do not.
func check(c *Config, d *decoder) {
	k := checker{c, d}
	k.listeners()
	k.tls()
	k.names()
	k.upstream()
	k.registration()
	for i := range c.Limits {
		k.limit(i)
	}
	k.prices()
	k.profiles()
	k.record()
	k.policy()
	k.guard()
	k.limitStore()
	k.telemetry()
	k.hunt()
	for i := range c.OIDC {
		k.oidc(i)
	}
	for i := range c.Alarms {
		k.alarm(i)
	}
	for name, n := range c.Notify {
		k.notify(name, n)
	}
}

// bad reports a mistake at the key, or at the nearest key around it that the
// file has: the first one only, and none when the value could not be read.
func (k *checker) bad(key, what, next string) {
	if k.d.unread[key] {
		return
	}
	k.d.unread[key] = true
	p, ok := place{}, false
	for path := key; !ok; path = path[:max(0, strings.LastIndexAny(path, ".["))] {
		if p, ok = k.d.at[path]; ok || path == "" {
			break
		}
	}
	if !ok || p.line == 0 && p.file == "" {
		p = place{file: k.d.file}
	}
	k.d.add(p, key+": "+what, next)
}

var (
	accountRE = regexp.MustCompile(`^[0-9]{12}$`)
	regionRE  = regexp.MustCompile(`^[a-z]{2}(-[a-z]{2,12}){1,3}-[0-9]{1,2}$`)
	nameRE    = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)
	baseRE    = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)*$`)
	domainRE  = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$`)
	countryRE = regexp.MustCompile(`^[A-Z]{2}$`)

	guardrailRE = regexp.MustCompile(`^[a-z0-9]{1,64}:(DRAFT|[1-9][0-9]{0,7})$`)

	profileRE = regexp.MustCompile(`^arn:aws[a-z-]*:(bedrock|sagemaker):[a-z0-9-]+:[0-9]{12}:[a-z-]+/[A-Za-z0-9._:/-]{1,512}$`)
)

func (k *checker) listeners() {
	c := k.c
	k.address("listen", c.Listen)
	k.ingest()
	if c.AdminListen == "" {
		return
	}
	k.address("admin_listen", c.AdminListen)
	if c.AdminListen == c.Listen && !strings.HasSuffix(c.Listen, ":0") {
		k.bad("admin_listen", "is the address of listen too", "give it a port of its own")
	}
	if !IsLoopback(c.AdminListen) && c.TLS.Mode == "off" {
		k.bad("admin_listen", fmt.Sprintf("%s can be reached by others and has no TLS", c.AdminListen), "use 127.0.0.1 or set tls.mode")
	}
}

func (k *checker) address(key, addr string) {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil || port == "" {
		k.bad(key, fmt.Sprintf("bad address %q", clip(addr)), "write host:port, such as 127.0.0.1:8080")
	}
}

// IsLoopback tells whether only this machine can reach addr, a host:port. A
// name other than localhost, and an empty host, count as reachable by others.
func IsLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// ingest: whoever pushes must prove itself where others can reach the listener,
// and the secret must not cross a network in the clear.
func (k *checker) ingest() {
	c := k.c
	if c.IngestListen == "" {
		return
	}
	k.address("ingest_listen", c.IngestListen)
	switch {
	case !strings.HasSuffix(c.IngestListen, ":0") && (c.IngestListen == c.Listen || c.IngestListen == c.AdminListen):
		k.bad("ingest_listen", "is the address of another listener too", "give it a port of its own")
	case IsLoopback(c.IngestListen):
	case c.TLS.Mode == "off":
		k.bad("ingest_listen", fmt.Sprintf("%s can be reached by others and has no TLS", c.IngestListen), "use 127.0.0.1 or set tls.mode")
	case c.Telemetry.SecretFile == "":
		k.bad("ingest_listen", fmt.Sprintf("%s can be reached by others and telemetry.secret_file is empty", c.IngestListen), "use 127.0.0.1 or name the file of a secret")
	}
	if c.Telemetry.Mode == "off" {
		k.bad("ingest_listen", "is set and telemetry.mode is off", "set one or the other")
	}
}

func (k *checker) tls() {
	t := k.c.TLS
	for _, f := range []struct{ key, name string }{{"tls.cert", t.Cert}, {"tls.key", t.Key}} {
		switch {
		case t.Mode != "files" && f.name != "":
			k.bad(f.key, "is used with mode files only", "set tls.mode to files or remove the key")
		case t.Mode == "files" && f.name == "":
			k.bad(f.key, "is missing", "name the PEM file")
		case t.Mode == "files":
			k.file(f.key, f.name)
		}
	}
}

// file reports a file that cannot be read.
func (k *checker) file(key, name string) {
	f, err := os.Open(name)
	if err != nil {
		k.bad(key, err.Error(), "name a file that can be read; relative names start at the configuration's directory")
		return
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		k.bad(key, fmt.Sprintf("%s is no file", name), "name the PEM file")
	}
}

func (k *checker) names() {
	c := k.c
	if !accountRE.MatchString(c.AccountID) {
		k.bad("account_id", fmt.Sprintf("bad account %q", clip(c.AccountID)), "write twelve digits")
	}
	k.region("region", c.Region)
	k.model("chat.model", c.Chat.Model)
	if !baseRE.MatchString(c.Chat.BasePath) || strings.Contains(c.Chat.BasePath, "/.") {
		k.bad("chat.base_path", fmt.Sprintf("bad path %q", clip(c.Chat.BasePath)), "write a path such as /prod, without a slash at its end")
	}
}

func (k *checker) region(key, region string) {
	if !regionRE.MatchString(region) {
		k.bad(key, fmt.Sprintf("bad region %q", clip(region)), "write an AWS region, such as us-east-1")
	}
}

func (k *checker) upstream() {
	u := k.c.Upstream
	if u.Kind != "emulator" && u.Kind != "bedrock" && !isEndpoint(u.Kind) {
		k.bad("upstream.kind", fmt.Sprintf("%q is unknown", clip(u.Kind)), "write emulator, bedrock or a URL such as https://host")
	}
	if len(u.Regions) == 0 {
		k.bad("upstream.regions", "is empty", "name a region")
	}
	for i, r := range u.Regions {
		k.region(fmt.Sprintf("upstream.regions[%d]", i), r)
	}
	if u.FirstContentTimeout > u.TotalTimeout {
		k.bad("upstream.first_content_timeout", "is longer than total_timeout", "make it shorter")
	}
}

// isEndpoint tells whether s is a URL of a scheme and a host only. Userinfo,
// query and fragment are refused; http is for endpoints on a trusted network.
func isEndpoint(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil &&
		(u.Path == "" || u.Path == "/") && u.RawQuery == "" && u.Fragment == "" && !strings.ContainsAny(s, "?#")
}

func (k *checker) registration() {
	r := k.c.Registration
	if r.PerIPPerHour < 1 || r.PerIPPerHour > 1000 {
		k.bad("registration.per_ip_per_hour", "must be 1 to 1000", "use mode invite to close registration")
	}
	switch {
	case r.Mode == "domains" && len(r.Domains) == 0:
		k.bad("registration.domains", "is empty", "name a domain")
	case r.Mode != "domains" && len(r.Domains) > 0:
		k.bad("registration.domains", "is used with mode domains only", "set registration.mode to domains or remove the key")
	}
	for i, d := range r.Domains {
		if !domainRE.MatchString(d) {
			k.bad(fmt.Sprintf("registration.domains[%d]", i), fmt.Sprintf("bad domain %q", clip(d)), "write a domain such as example.com, in lower case")
		}
	}
	if r.Mode == "open" && !r.BeyondLoopback && !IsLoopback(k.c.Listen) {
		k.bad("listen", fmt.Sprintf("registration is open and others can reach %s", k.c.Listen),
			"set registration.mode to invite, or registration.beyond_loopback to true if that is meant")
	}
}

func (k *checker) limit(i int) {
	l := k.c.Limits[i]
	key := fmt.Sprintf("limits[%d].", i)
	if !nameRE.MatchString(l.Name) {
		k.bad(key+"name", fmt.Sprintf("bad name %q", clip(l.Name)), "write lower-case letters, digits, - and _")
	}
	if slices.ContainsFunc(k.c.Limits[:i], func(o Limit) bool { return o.Name == l.Name }) {
		k.bad(key+"name", fmt.Sprintf("%q stands twice", clip(l.Name)), "rename one")
	}
	if len(l.Per) == 0 {
		k.bad(key+"per", "is missing", "write what each count is kept for, such as [user]")
	}
	if l.Measure == "" {
		k.bad(key+"measure", "is missing", "write what is counted, such as requests")
	}
	switch d := l.Window.Duration(); {
	case l.Window == "" && l.Measure != "concurrency":
		k.bad(key+"window", "is missing", "write a duration, day or month")
	case l.Window != "" && l.Measure == "concurrency":
		k.bad(key+"window", "has no meaning for concurrency", "remove the key")
	case d > 31*24*time.Hour:
		k.bad(key+"window", "is longer than 31 days", "use month")
	case l.Window == "month" && l.Measure == "models":
		k.bad(key+"window", "is too long for models", "write a duration or day")
	}
	k.max(key, l)
	if slices.Contains(l.Per, "country") && k.c.Network.Countries.Database == "" {
		k.bad(key+"per", "country needs a database", "set network.countries.database")
	}
	for j, at := range l.AlertAt {
		if n, err := at.Scaled(3); err != nil || n < 1 || n > 10_000 {
			k.bad(fmt.Sprintf("%salert_at[%d]", key, j), fmt.Sprintf("bad fraction %q", clip(string(at))), "write a number such as 0.8")
		}
	}
	k.channels(key+"notify", l.Notify)
	for _, o := range k.c.Limits[:i] {
		if o.Name != l.Name && sameCount(o, l) {
			k.bad(key+"window", fmt.Sprintf("limit %q counts the same over the same window as limit %q", clip(l.Name), clip(o.Name)), "remove one of them")
		}
	}
}

// sameCount tells whether two limits count the same calls, so that one of them
// can never matter. One that refuses and one that only flags may stand together.
func sameCount(a, b Limit) bool {
	return a.Measure == b.Measure && a.Window == b.Window && slices.Equal(a.Per, b.Per) && a.Action == b.Action && a.Mode == b.Mode &&
		slices.Equal(a.Match.Models, b.Match.Models) && slices.Equal(a.Match.Teams, b.Match.Teams) &&
		slices.Equal(a.Match.Users, b.Match.Users) && slices.Equal(a.Match.Schemes, b.Match.Schemes)
}

func (k *checker) max(key string, l Limit) {
	places, unit := 0, "a whole number"
	if l.Measure == "usd" {
		places, unit = 9, "US dollars such as 25 or 0.5"
	}
	switch n, err := l.Max.Scaled(places); {
	case err != nil:
		k.bad(key+"max", err.Error(), "write "+unit)
	case n < 1 || n > 1e15:
		k.bad(key+"max", "must be more than 0 and at most 10^15", "to allow nothing use network, key scopes, `gatehouse user disable` or `gatehouse freeze on`")
	case l.Measure == "models" && n > 256:
		k.bad(key+"max", "must be at most 256 models", "write a smaller number")
	}
	if l.Wait > Duration(time.Minute) {
		k.bad(key+"wait", "is longer than a minute", "callers hold their connections: make it shorter")
	}
}

// channels reports names that are no key of notify.
func (k *checker) channels(key string, names []string) {
	for i, name := range names {
		if _, ok := k.c.Notify[name]; !ok {
			k.bad(fmt.Sprintf("%s[%d]", key, i), fmt.Sprintf("there is no channel %q", clip(name)), "add it to notify")
		}
	}
}

func (k *checker) prices() {
	for id, p := range k.c.Prices.Models {
		_, err := model.Default().WithPrices(map[string]model.Decimals{id: p.Decimals()})
		if err != nil {
			k.bad("prices."+id, strings.TrimPrefix(err.Error(), "prices: "+id+": "), "write a model id, and USD per 1,000 tokens such as 0.00025")
		}
	}
}

func (k *checker) profiles() {
	for arn, id := range k.c.Profiles {
		if !profileRE.MatchString(arn) {
			k.bad("profiles."+arn, "is no ARN of a profile or model", "write arn:aws:bedrock:REGION:ACCOUNT:application-inference-profile/ID")
		}
		k.model("profiles."+arn, id)
	}
}

// model reports an id that neither the model table nor the prices have.
func (k *checker) model(key, id string) {
	if _, priced := k.c.Prices.Models[id]; priced {
		return
	}
	if _, err := model.Default().Resolve(id); err != nil {
		k.bad(key, fmt.Sprintf("unknown model %q", clip(id)), "see `gatehouse models list`")
	}
}

func (k *checker) record() {
	r := k.c.Record
	if r.RetainBodies > r.Retain {
		k.bad("record.retain_bodies", "is longer than retain", "make it shorter")
	}
	if r.RetainBodies < Duration(time.Hour) {
		k.bad("record.retain_bodies", "is shorter than an hour", "use bodies: hash or off to keep none")
	}
	if r.Retain < Duration(24*time.Hour) {
		k.bad("record.retain", "is shorter than a day", "write 1d or more")
	}
	if r.KeyFile != "" {
		k.file("record.key_file", r.KeyFile)
	}
}

func (k *checker) policy() {
	p := k.c.Policy
	for i, name := range p.Cedar {
		k.file(fmt.Sprintf("policy.cedar[%d]", i), name)
	}
	if p.MaxTokens < 1 || p.MaxTokens > 1<<20 {
		k.bad("policy.max_tokens", "must be 1 to 1048576", "write a number of tokens such as 4096")
	}
	if p.MaxBound < 0 || p.MaxBound > 1<<20 {
		k.bad("policy.max_bound", "must be 0 to 1048576", "write a number of tokens, or 0 for the model's own maximum")
	}
	c := k.c.Network.Countries
	for _, list := range []struct {
		key   string
		codes []string
	}{{"network.countries.allow", c.Allow}, {"network.countries.deny", c.Deny}} {
		for i, code := range list.codes {
			if !countryRE.MatchString(code) {
				k.bad(fmt.Sprintf("%s[%d]", list.key, i), fmt.Sprintf("bad country %q", clip(code)), "write two upper-case letters, such as DE")
			}
		}
		if len(list.codes) > 0 && c.Database == "" {
			k.bad(list.key, "needs a database", "set network.countries.database")
		}
	}
	if c.Database != "" {
		k.file("network.countries.database", c.Database)
	}
}

func (k *checker) guard() {
	g := k.c.Guard
	for i, name := range g.Rules {
		k.file(fmt.Sprintf("guard.rules[%d]", i), name)
	}
	for rule, action := range g.Actions {
		if !slices.Contains([]string{"off", "flag", "mask", "block"}, action) {
			k.bad("guard.actions."+rule, fmt.Sprintf("%q is unknown", clip(action)), "write one of off, flag, mask, block")
		}
	}
	if g.ApplyBedrockGuardrail != "" && !guardrailRE.MatchString(g.ApplyBedrockGuardrail) {
		k.bad("guard.apply_bedrock_guardrail", fmt.Sprintf("bad guardrail %q", clip(g.ApplyBedrockGuardrail)), "write id:version, such as abc123def456:1")
	}
}

func (k *checker) limitStore() {
	s := k.c.LimitStore
	switch {
	case s.Kind == "memory" && (s.URL != "" || s.Username != "" || s.PasswordFile != ""):
		k.bad("limit_store.url", "is used with kind redis only", "set limit_store.kind to redis or remove the key")
	case s.Kind == "memory":
		return
	}
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Host == "" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/0123456789") != "" {
		k.bad("limit_store.url", "is no address of a Redis server", "write redis://HOST:PORT, or rediss:// for TLS, without a password")
	}
	if !nameRE.MatchString(s.Prefix) {
		k.bad("limit_store.prefix", fmt.Sprintf("bad prefix %q", clip(s.Prefix)), "write lower-case letters, digits, - and _")
	}
	if s.Timeout > Duration(5*time.Second) {
		k.bad("limit_store.timeout", "is longer than 5s", "callers wait for it: make it shorter")
	}
	if s.PasswordFile != "" {
		k.file("limit_store.password_file", s.PasswordFile)
	}
}

func (k *checker) telemetry() {
	t := k.c.Telemetry
	if t.Retain < days(1) {
		k.bad("telemetry.retain", "is shorter than a day", "write 1d or more")
	}
	if t.MaxGiB < 0 {
		k.bad("telemetry.max_gib", "is negative", "write 0 for no bound")
	}
	if t.IntakeGiB < 1 {
		k.bad("telemetry.intake_gib", "is less than 1", "write 1 or more")
	}
	if t.SecretFile != "" {
		k.file("telemetry.secret_file", t.SecretFile)
	}
	if t.ASNDatabase != "" {
		k.file("telemetry.asn_database", t.ASNDatabase)
	}
	names := map[string]bool{}
	for i, s := range t.Sources {
		key := fmt.Sprintf("telemetry.sources[%d]", i)
		if !nameRE.MatchString(s.Name) {
			k.bad(key+".name", fmt.Sprintf("bad name %q", clip(s.Name)), "write up to 32 of a-z, 0-9, - and _, a letter first")
		}
		if names[s.Name] {
			k.bad(key+".name", fmt.Sprintf("%q stands twice", s.Name), "rename one: the name keeps the place that a restart goes on from")
		}
		names[s.Name] = true
		k.source(key, s)
	}
}

func (k *checker) source(key string, s TelemetrySource) {
	set := 0
	for _, v := range []string{s.Path, s.S3, s.Queue, s.LogGroup} {
		if v != "" {
			set++
		}
	}
	if set != 1 {
		k.bad(key, fmt.Sprintf("has %d of path, s3, queue and log_group", set), "write one of them")
	}
	if s.S3 != "" && (!strings.HasPrefix(s.S3, "s3://") || strings.HasPrefix(s.S3, "s3:///")) {
		k.bad(key+".s3", fmt.Sprintf("bad address %q", clip(s.S3)), "write s3://bucket/prefix")
	}
	for _, u := range []struct{ key, value string }{{"queue", s.Queue}, {"endpoint", s.Endpoint}} {
		if p, err := url.Parse(u.value); u.value != "" && (err != nil || p.Host == "" || p.User != nil || p.Scheme != "https" && p.Scheme != "http") {
			k.bad(key+"."+u.key, fmt.Sprintf("bad URL %q", clip(u.value)), "write an https URL")
		}
	}
	if s.Region != "" {
		k.region(key+".region", s.Region)
	}
}

func (k *checker) hunt() {
	h := k.c.Hunt
	switch {
	case h.Engine == "clickhouse" && h.DSNFile == "":
		k.bad("hunt.dsn_file", "is missing", "name the file that holds the address of the ClickHouse server")
	case h.DSNFile != "":
		k.file("hunt.dsn_file", h.DSNFile)
	}
	if h.MemoryMiB < 64 {
		k.bad("hunt.memory_mib", "is less than 64", "write 64 or more")
	}
	if h.Timeout < seconds(1) {
		k.bad("hunt.timeout", "is shorter than 1s", "write 1s or more")
	}
	if h.MaxRows < 1 {
		k.bad("hunt.max_rows", "is less than 1", "write 1 or more")
	}
	if h.AtOnce < 1 {
		k.bad("hunt.at_once", "is less than 1", "write 1 or more")
	}
}

func (k *checker) oidc(i int) {
	o := k.c.OIDC[i]
	key := fmt.Sprintf("oidc[%d].", i)
	k.issuerURL(key+"issuer", o.Issuer, o.Private)
	if o.Audience == "" {
		k.bad(key+"audience", "is missing", "write what aud must hold")
	}
	if o.UserClaim == "" {
		k.bad(key+"user_claim", "is missing", "write email or sub")
	}
	if len(o.Algs) == 0 {
		k.bad(key+"algs", "is empty", "name an algorithm")
	}
	switch {
	case strings.Contains(o.JWKS, "://"):
		k.issuerURL(key+"jwks", o.JWKS, o.Private)
	case o.JWKS != "":
		k.file(key+"jwks", o.JWKS)
	}
	if o.CAFile != "" {
		k.file(key+"ca_file", o.CAFile)
	}
	if slices.ContainsFunc(k.c.OIDC[:i], func(p OIDC) bool { return p.Issuer == o.Issuer }) {
		k.bad(key+"issuer", "stands twice", "remove one")
	}
}

func (k *checker) issuerURL(key, s string, private bool) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && !(private && u.Scheme == "http") {
		k.bad(key, fmt.Sprintf("bad URL %q", clip(s)), "write an https URL (http needs private: true)")
	}
}

var statisticRE = regexp.MustCompile(`^(SampleCount|Sum|Average|Minimum|Maximum|p([1-9]|[1-9][0-9])(\.[0-9]{1,2})?|p100)$`)

func (k *checker) alarm(i int) {
	a := k.c.Alarms[i]
	key := fmt.Sprintf("alarms[%d].", i)
	if a.Name == "" || len(a.Name) > 128 {
		k.bad(key+"name", "is missing or longer than 128 bytes", "name the alarm")
	}
	if slices.ContainsFunc(k.c.Alarms[:i], func(o Alarm) bool { return o.Name == a.Name }) {
		k.bad(key+"name", fmt.Sprintf("%q stands twice", clip(a.Name)), "rename one")
	}
	if a.Enabled {
		if a.Metric == "" {
			k.bad(key+"metric", "is missing", "write a metric such as Invocations")
		}
		if a.Threshold == "" {
			k.bad(key+"threshold", "is missing", "write a number")
		}
	}
	if !statisticRE.MatchString(a.Statistic) {
		k.bad(key+"statistic", fmt.Sprintf("%q is unknown", clip(a.Statistic)), "write SampleCount, Sum, Average, Minimum, Maximum, or a percentile such as p99")
	}
	if p := time.Duration(a.Period); p < time.Second || p > 24*time.Hour || p%time.Second != 0 {
		k.bad(key+"period", "must be whole seconds, from 1s to 1d", "write a period such as 300s")
	}
	if a.EvaluationPeriods < 1 || a.EvaluationPeriods > 100 {
		k.bad(key+"evaluation_periods", "must be 1 to 100", "write a number of periods")
	}
	if a.DatapointsToAlarm < 0 || a.DatapointsToAlarm > a.EvaluationPeriods {
		k.bad(key+"datapoints_to_alarm", "must be at most evaluation_periods", "write a smaller number, or 0 for all")
	}
	for dim := range a.Match {
		if !slices.Contains([]string{"model", "user", "team", "key", "limit"}, dim) {
			k.bad(key+"match."+dim, "is no dimension", "write model, user, team, key or limit")
		}
	}
	k.channels(key+"notify", a.Notify)
}

func (k *checker) notify(name string, n Notify) {
	key := "notify." + name + "."
	if !nameRE.MatchString(name) {
		k.bad("notify."+name, "bad name", "write lower-case letters, digits, - and _")
	}
	need := func(field, value string) {
		if value == "" {
			k.bad(key+field, "is missing", "a channel of kind "+n.Kind+" needs it")
		}
	}
	switch n.Kind {
	case "webhook":
		if (n.URL == "") == (n.URLFile == "") {
			k.bad(key+"url", "and url_file: exactly one of them is needed", "write one")
		}
	case "slack":
		need("url_file", n.URLFile)
	case "smtp":
		need("server", n.Server)
		need("from", n.From)
		if len(n.To) == 0 {
			need("to", "")
		}
	case "sns":
		need("topic", n.Topic)
	default:
		k.bad(key+"kind", "is missing", "write webhook, slack, smtp or sns")
	}
	if n.URL != "" {
		k.issuerURL(key+"url", n.URL, n.Private)
	}
	for _, f := range []struct{ field, name string }{{"url_file", n.URLFile}, {"secret_file", n.SecretFile}, {"password_file", n.PasswordFile}} {
		if f.name != "" {
			k.file(key+f.field, f.name)
		}
	}
}

func sortErrors(es Errors) {
	slices.SortStableFunc(es, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
}
