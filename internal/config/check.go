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
	profileRE = regexp.MustCompile(`^arn:aws[a-z-]*:(bedrock|sagemaker):[a-z0-9-]+:[0-9]{12}:[a-z-]+/[A-Za-z0-9._:/-]{1,512}$`)
)

func (k *checker) listeners() {
	c := k.c
	k.address("listen", c.Listen)
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
		k.bad(key+"measure", "is missing", "write requests")
	}
	if l.Window == "" {
		k.bad(key+"window", "is missing", "write a duration, day or month")
	}
	if d := l.Window.Duration(); d > 31*24*time.Hour {
		k.bad(key+"window", "is longer than 31 days", "use month")
	}
	if l.Max < 1 || l.Max > 1e15 {
		k.bad(key+"max", "must be at least 1", "use network, key scopes or `gatehouse user disable` to allow nothing")
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

func sortErrors(es Errors) {
	slices.SortStableFunc(es, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
}
