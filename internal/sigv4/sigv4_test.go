package sigv4_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/sigv4"
)

const (
	region  = "us-east-1"
	service = "bedrock"
)

func at(t testing.TB, stamp string) time.Time {
	t.Helper()
	now, err := time.Parse("20060102T150405Z", stamp)
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// header makes a header from "Name: value" lines.
func header(lines ...string) http.Header {
	h := make(http.Header)
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		h.Add(name, value)
	}
	return h
}

// verify does all a server does: parse, check, verify.
func verify(now time.Time, r *sigv4.Request, authorization string, secret sigv4.Secret, region, service string) error {
	a, err := sigv4.ParseAuthorization(authorization)
	if err != nil {
		return err
	}
	if err := a.Check(now, r, region, service); err != nil {
		return err
	}
	if !a.Verify(r, sigv4.DeriveKey(secret, a.Date, a.Region, a.Service)) {
		return errors.New("signature does not match")
	}
	return nil
}

// TestGolden verifies requests signed by others: botocore, curl 7.88 (which
// signs the path as sent), and cases of AWS's published suite for the headers
// and queries that Bedrock's own operations do not use.
func TestGolden(t *testing.T) {
	const (
		body  = `{"messages": [{"role": "user", "content": [{"text": "hi \u00e9"}]}], "inferenceConfig": {"maxTokens": 5}, "guardrailConfig": {"guardrailIdentifier": "abc", "guardrailVersion": "DRAFT"}}`
		body2 = `{"messages": [{"role": "user", "content": [{"text": "hi \u00e9"}]}]}`
		suite = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
		token = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
	)
	boto := header("Content-Type: application/json", "X-Amz-Date: 20261122T150447Z", "X-Amz-Security-Token: TOKENTOKEN")
	const botoSigned = "content-type;host;x-amz-date;x-amz-security-token"
	suiteHeader := func(lines ...string) http.Header { return header(append(lines, "X-Amz-Date: 20150830T123600Z")...) }
	for _, tt := range []struct {
		name, method, path, query, host string
		header                          http.Header
		body, key, secret, region       string
		service, signed, signature      string
	}{
		{"botocore Converse", "POST", "/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse", "", "127.0.0.1:18080", boto, body,
			"AKIAEXAMPLEEXAMPLE00", "secretsecret", region, service, botoSigned, "887ae9dc5781814930b3feff1cda8ceb2a4b1cf60c7ee4b55cc1b35315b00bc4"},
		{"botocore ARN", "POST", "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabc123def456/converse-stream", "", "127.0.0.1:18080", boto, body2,
			"AKIAEXAMPLEEXAMPLE00", "secretsecret", region, service, botoSigned, "a2369bd3cde071174b4800626f398448b08573016a1147aaa521036bd4a275ae"},
		{"curl 7.88 POST", "POST", "/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse", "", "127.0.0.1:18999",
			header("Content-Type: application/json", "X-Amz-Date: 20261122T165204Z", "X-Amzn-Bedrock-Trace: ENABLED", "Accept: */*"), `{"messages":[]}`,
			"AKIAEXAMPLEEXAMPLE00", "secretsecret", region, service, "content-type;host;x-amz-date;x-amzn-bedrock-trace", "5c778a8a18ef40d44c315e27ce707f6a77123e5fdd228b79524a9082bb54187e"},
		{"key duplicate", "GET", "/", "", "example.amazonaws.com", suiteHeader("My-Header1: value2", "My-Header1: value2", "My-Header1: value1"), "",
			"AKIDEXAMPLE", suite, region, "service", "host;my-header1;x-amz-date", "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
		{"value order", "GET", "/", "", "example.amazonaws.com", suiteHeader("My-Header1: value4", "My-Header1: value1", "My-Header1: value3", "My-Header1: value2"), "",
			"AKIDEXAMPLE", suite, region, "service", "host;my-header1;x-amz-date", "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
		{"value trim", "GET", "/", "", "example.amazonaws.com", suiteHeader("My-Header1:  value1", `My-Header2:  "a   b   c"`), "",
			"AKIDEXAMPLE", suite, region, "service", "host;my-header1;my-header2;x-amz-date", "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
		{"unreserved", "GET", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "", "example.amazonaws.com", suiteHeader(), "",
			"AKIDEXAMPLE", suite, region, "service", "host;x-amz-date", "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
		{"query", "GET", "/", "Param1=value1", "example.amazonaws.com", suiteHeader(), "",
			"AKIDEXAMPLE", suite, region, "service", "host;x-amz-date", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
		{"query order", "GET", "/", "Param2=value2&Param1=value1", "example.amazonaws.com", suiteHeader(), "",
			"AKIDEXAMPLE", suite, region, "service", "host;x-amz-date", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{"query order encoded", "GET", "/", "Param-3=Value3&Param=Value2&%E1%88%B4=Value1", "example.amazonaws.com", suiteHeader(), "",
			"AKIDEXAMPLE", suite, region, "service", "host;x-amz-date", "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac"},
		{"query UTF-8", "GET", "/", "\u1234=bar", "example.amazonaws.com", suiteHeader(), "",
			"AKIDEXAMPLE", suite, region, "service", "host;x-amz-date", "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
		{"session token", "GET", "/", "", "example.amazonaws.com", suiteHeader("X-Amz-Security-Token: 6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"), "",
			"AKIDEXAMPLE", suite, region, "service", "host;x-amz-date;x-amz-security-token", "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"},
		{"S02 token signed", "POST", "/", "", "example.amazonaws.com", suiteHeader("X-Amz-Security-Token: " + token), "",
			"AKIDEXAMPLE", suite, region, "service", "host;x-amz-date;x-amz-security-token", "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
		{"content hash and length", "POST", "/", "", "example.amazonaws.com", suiteHeader("Content-Type: application/x-www-form-urlencoded; charset=utf-8", "X-Amz-Content-Sha256: 9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"), "Param1=value1",
			"AKIDEXAMPLE", suite, region, "service", "content-length;content-type;host;x-amz-content-sha256;x-amz-date", "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &sigv4.Request{Method: tt.method, RawPath: tt.path, RawQuery: tt.query, Authority: tt.host,
				ContentLength: int64(len(tt.body)), Header: tt.header, PayloadHash: sha256.Sum256([]byte(tt.body))}
			date := tt.header.Get("X-Amz-Date")
			for _, comma := range []string{", ", ","} {
				authorization := "AWS4-HMAC-SHA256 Credential=" + tt.key + "/" + date[:8] + "/" + tt.region + "/" + tt.service + "/aws4_request" +
					comma + "SignedHeaders=" + tt.signed + comma + "Signature=" + tt.signature
				if err := verify(at(t, date), r, authorization, sigv4.Secret(tt.secret), tt.region, tt.service); err != nil {
					t.Errorf("%v\n%s", err, sigv4.CanonicalRequest(r, strings.Split(tt.signed, ";"), true))
				}
			}
		})
	}
}

func TestCanonicalRequest(t *testing.T) {
	r := &sigv4.Request{Method: "POST", RawPath: "/model/a%3A0:1/converse", RawQuery: "b=2&a=x+y&a=%7e&&c", Authority: "example.com",
		Header: header("X-Amz-Date: 20261122T150447Z", "X-A:  a   b ", "X-A: c")}
	const tail = "\na=x%20y&a=~&b=2&c=\n:authority:example.com\ncontent-length:0\nhost:example.com\nx-a:a b,c\nx-amz-date:20261122T150447Z\n\n" +
		":authority;content-length;host;x-a;x-amz-date\n0000000000000000000000000000000000000000000000000000000000000000"
	signed := []string{":authority", "content-length", "host", "x-a", "x-amz-date"}
	for doubled, path := range map[bool]string{true: "/model/a%253A0%3A1/converse", false: "/model/a%3A0:1/converse"} {
		if got, want := string(sigv4.CanonicalRequest(r, signed, doubled)), "POST\n"+path+tail; got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	want := "AWS4-HMAC-SHA256\n20261122T150447Z\n20261122/us-east-1/bedrock/aws4_request\n44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
	if got := string(sigv4.StringToSign("20261122T150447Z", region, service, []byte("{}"))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, query := range []string{"%", "%4", "%zz", "a=%", "a;b", "a=1;b=2", strings.Repeat("a&", 257)} {
		r.RawQuery = query
		if got := sigv4.CanonicalRequest(r, signed, true); got != nil {
			t.Errorf("query %.10q: got %q, want nil", query, got)
		}
	}
}

func TestParseAuthorization(t *testing.T) {
	const (
		cred   = "Credential=GTHKABCD/20261122/us-east-1/bedrock/aws4_request"
		signed = "SignedHeaders=host;x-amz-date"
		sig    = "Signature=887ae9dc5781814930b3feff1cda8ceb2a4b1cf60c7ee4b55cc1b35315b00bc4"
	)
	whole := func(c, h, s string) string { return "AWS4-HMAC-SHA256 " + c + ", " + h + ", " + s }
	a, err := sigv4.ParseAuthorization(whole(cred, signed, sig))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%s %s %s %s %v %x", a.KeyID, a.Date, a.Region, a.Service, a.SignedHeaders, a.Signature[:2]),
		"GTHKABCD 20261122 us-east-1 bedrock [host x-amz-date] 887a"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	credential := func(c string) string { return whole("Credential="+c, signed, sig) }
	headers := func(h string) string { return whole(cred, "SignedHeaders="+h, sig) }
	signature := func(s string) string { return whole(cred, signed, "Signature="+s) }
	hex := strings.TrimPrefix(sig, "Signature=")
	for _, tt := range []struct {
		name, header string
		class        error
	}{
		{"empty", "", sigv4.ErrMalformed},
		{"S14 SigV2", "AWS AKIDEXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=", sigv4.ErrMalformed},
		{"S14 SigV4A", strings.Replace(whole(cred, signed, sig), "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", 1), sigv4.ErrMalformed},
		{"bearer", "Bearer " + whole(cred, signed, sig), sigv4.ErrMalformed},
		{"lower-case algorithm", strings.ToLower(whole(cred, signed, sig)), sigv4.ErrMalformed},
		{"two spaces", strings.Replace(whole(cred, signed, sig), ", ", ",  ", 1), sigv4.ErrMalformed},
		{"other order", whole(signed, cred, sig), sigv4.ErrMalformed},
		{"no signature", "AWS4-HMAC-SHA256 " + cred + ", " + signed, sigv4.ErrMalformed},
		{"too long", whole(cred, signed, sig) + strings.Repeat(" ", 16<<10), sigv4.ErrMalformed},
		{"S05 four parts", credential("GTHKABCD/20261122/us-east-1/aws4_request"), sigv4.ErrMalformed},
		{"S05 six parts", credential("GTHK/ABCD/20261122/us-east-1/bedrock/aws4_request"), sigv4.ErrMalformed},
		{"S05 aws4_requestX", credential("GTHKABCD/20261122/us-east-1/bedrock/aws4_requestX"), sigv4.ErrMalformed},
		{"date of seven", credential("GTHKABCD/2026112/us-east-1/bedrock/aws4_request"), sigv4.ErrMalformed},
		{"date not digits", credential("GTHKABCD/2026112x/us-east-1/bedrock/aws4_request"), sigv4.ErrMalformed},
		{"no region", credential("GTHKABCD/20261122//bedrock/aws4_request"), sigv4.ErrMalformed},
		{"region with newline", credential("GTHKABCD/20261122/us\neast/bedrock/aws4_request"), sigv4.ErrMalformed},
		{"S16 SQL", credential("' OR '1'='1/20261122/us-east-1/bedrock/aws4_request"), sigv4.ErrKeyID},
		{"S16 escape", credential("a%27b/20261122/us-east-1/bedrock/aws4_request"), sigv4.ErrKeyID},
		{"S16 NUL", credential("a\x00b/20261122/us-east-1/bedrock/aws4_request"), sigv4.ErrKeyID},
		{"S16 4 KiB", credential(strings.Repeat("A", 4<<10) + "/20261122/us-east-1/bedrock/aws4_request"), sigv4.ErrKeyID},
		{"no key id", credential("/20261122/us-east-1/bedrock/aws4_request"), sigv4.ErrKeyID},
		{"S06 unsorted", headers("x-amz-date;host"), sigv4.ErrMalformed},
		{"S06 repeated", headers("host;host;x-amz-date"), sigv4.ErrMalformed},
		{"upper case", headers("Host;x-amz-date"), sigv4.ErrMalformed},
		{"no headers", headers(""), sigv4.ErrMalformed},
		{"empty name", headers(";host;x-amz-date"), sigv4.ErrMalformed},
		{"other pseudo-header", headers(":path;host;x-amz-date"), sigv4.ErrMalformed},
		{"name with space", headers("a b;host;x-amz-date"), sigv4.ErrMalformed},
		{"long name", headers(strings.Repeat("a", 129)), sigv4.ErrMalformed},
		{"65 headers", headers(sortedNames(65)), sigv4.ErrMalformed},
		{"S09 upper-case hex", signature(strings.ToUpper(hex)), sigv4.ErrSignature},
		{"S09 63 digits", signature(hex[1:]), sigv4.ErrSignature},
		{"S09 65 digits", signature(hex + "0"), sigv4.ErrSignature},
		{"S09 empty", signature(""), sigv4.ErrSignature},
		{"S09 base64", signature("iHrp3FeBgUkws/7/HNqM6ypLHPYMfuS1XMGzUxWwC8QAAAAAAAAAAAAAAAAAAAA="), sigv4.ErrSignature},
		{"trailing", signature(hex + ", x"), sigv4.ErrSignature},
	} {
		a, err := sigv4.ParseAuthorization(tt.header)
		if !errors.Is(err, tt.class) {
			t.Errorf("%s: got %+v, %v, want %v", tt.name, a, err, tt.class)
		}
	}
	if _, err := sigv4.ParseAuthorization(headers(sortedNames(64))); err != nil {
		t.Errorf("64 headers: %v", err)
	}
}

func sortedNames(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("h%02d", i)
	}
	return strings.Join(names, ";")
}

// TestCheck changes one thing at a time of a good request.
func TestCheck(t *testing.T) {
	const now = "20261122T150447Z"
	sum := fmt.Sprintf("%x", sha256.Sum256(nil))
	for _, tt := range []struct {
		name  string
		edit  func(a *sigv4.Authorization, r *sigv4.Request)
		class error // nil: accepted
		text  string
	}{
		{"good", func(*sigv4.Authorization, *sigv4.Request) {}, nil, ""},
		{"S02 token unsigned", func(_ *sigv4.Authorization, r *sigv4.Request) { r.Header.Set("X-Amz-Security-Token", "x") }, sigv4.ErrUnsigned, ""},
		{"bedrock header unsigned", func(_ *sigv4.Authorization, r *sigv4.Request) {
			r.Header.Set("X-Amzn-Bedrock-GuardrailIdentifier", "x")
		}, sigv4.ErrUnsigned, ""},
		{"S04 -300 s", date("20261122T145947Z"), nil, ""},
		{"S04 +300 s", date("20261122T150947Z"), nil, ""},
		{"S04 -301 s", date("20261122T145946Z"), sigv4.ErrExpired, "Signature expired: 20261122T145946Z is now earlier than 20261122T145947Z (20261122T150447Z - 5 min.)"},
		{"S04 +301 s", date("20261122T150948Z"), sigv4.ErrExpired, "Signature not yet current: 20261122T150948Z is still later than 20261122T150947Z (20261122T150447Z + 5 min.)"},
		{"S04 year 9999", date("99991231T235959Z"), sigv4.ErrExpired, ""},
		{"S04 lower-case z", date("20261122T150447z"), sigv4.ErrMalformed, ""},
		{"fraction", date("20261122T150447.5Z"), sigv4.ErrMalformed, ""},
		{"second 60", date("20261122T150460Z"), sigv4.ErrMalformed, ""},
		{"S04 missing", func(_ *sigv4.Authorization, r *sigv4.Request) { r.Header.Del("X-Amz-Date") }, sigv4.ErrMalformed, ""},
		{"Date instead", func(_ *sigv4.Authorization, r *sigv4.Request) {
			r.Header = header("Date: Sun, 22 Nov 2026 15:04:47 GMT")
		}, sigv4.ErrMalformed, ""},
		{"two dates", func(_ *sigv4.Authorization, r *sigv4.Request) { r.Header.Add("X-Amz-Date", now) }, sigv4.ErrMalformed, ""},
		{"S05 other date", func(a *sigv4.Authorization, _ *sigv4.Request) { a.Date = "20261121" }, sigv4.ErrScope, ""},
		{"S05 other region", func(a *sigv4.Authorization, _ *sigv4.Request) { a.Region = "us-east-2" }, sigv4.ErrScope, ""},
		{"S05 other service", func(a *sigv4.Authorization, _ *sigv4.Request) { a.Service = "s3" }, sigv4.ErrScope, ""},
		{"S06 host not signed", signs("x-amz-date"), sigv4.ErrUnsigned, ""},
		{"S06 date not signed", signs("host"), sigv4.ErrUnsigned, ""},
		{":authority", signs(":authority", "x-amz-date"), nil, ""},
		{":authority and host", signs(":authority", "host", "x-amz-date"), nil, ""},
		{"S06 absent header", signs("host", "x-absent", "x-amz-date"), sigv4.ErrUnsigned, ""},
		{"signs itself", signs("authorization", "host", "x-amz-date"), sigv4.ErrUnsigned, ""},
		{"unknown length", func(a *sigv4.Authorization, r *sigv4.Request) {
			a.SignedHeaders, r.ContentLength = []string{"content-length", "host", "x-amz-date"}, -1
		}, sigv4.ErrUnsigned, ""},
		{"S07 unsigned header added", func(_ *sigv4.Authorization, r *sigv4.Request) { r.Header.Set("X-Extra", "1") }, nil, ""},
		{"S08 hash", hash(sum), nil, ""},
		{"S08 unsigned payload", hash("UNSIGNED-PAYLOAD"), sigv4.ErrSignature, ""},
		{"S08 streaming", hash("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), sigv4.ErrSignature, ""},
		{"S08 upper-case hash", hash(strings.ToUpper(sum)), sigv4.ErrSignature, ""},
		{"S08 two hashes", hash(sum, sum), sigv4.ErrSignature, ""},
		{"S13 presigned", func(_ *sigv4.Authorization, r *sigv4.Request) { r.RawQuery = "a=b&X-Amz-Expires=0" }, sigv4.ErrMalformed, ""},
		{"S13 presigned, hidden", func(_ *sigv4.Authorization, r *sigv4.Request) { r.RawQuery = "%78%2Damz-signature=00" }, sigv4.ErrMalformed, ""},
		{"other query", func(_ *sigv4.Authorization, r *sigv4.Request) { r.RawQuery = "x-am&maxResults=1" }, nil, ""},
	} {
		a := sigv4.Authorization{KeyID: "K", Date: now[:8], Region: region, Service: service, SignedHeaders: []string{"host", "x-amz-date"}}
		r := &sigv4.Request{Method: "POST", RawPath: "/", Authority: "example.com", Header: header("X-Amz-Date: " + now)}
		tt.edit(&a, r)
		err := a.Check(at(t, now).Add(999*time.Millisecond), r, region, service)
		if !errors.Is(err, tt.class) || tt.text != "" && err.Error() != tt.text {
			t.Errorf("%s: got %v, want %v %s", tt.name, err, tt.class, tt.text)
		}
	}
}

func date(s string) func(*sigv4.Authorization, *sigv4.Request) {
	return func(a *sigv4.Authorization, r *sigv4.Request) {
		a.Date = s[:8]
		r.Header.Set("X-Amz-Date", s)
	}
}

func signs(names ...string) func(*sigv4.Authorization, *sigv4.Request) {
	return func(a *sigv4.Authorization, _ *sigv4.Request) { a.SignedHeaders = names }
}

func hash(sums ...string) func(*sigv4.Authorization, *sigv4.Request) {
	return func(_ *sigv4.Authorization, r *sigv4.Request) { r.Header["X-Amz-Content-Sha256"] = sums }
}

// TestVerifyContentHash: a hash that is well formed, and signed, but not that
// of the body is refused only once the body is known.
func TestVerifyContentHash(t *testing.T) {
	now := at(t, "20261122T150447Z")
	r := &sigv4.Request{Method: "POST", RawPath: "/", Authority: "example.com", PayloadHash: sha256.Sum256([]byte("body")),
		Header: header("X-Amz-Content-Sha256: " + fmt.Sprintf("%x", sha256.Sum256([]byte("body"))))}
	sigv4.Sign(r, sigv4.Credentials{AccessKeyID: "K", Secret: "secret"}, region, service, now)
	authorization := r.Header.Get("Authorization")
	if err := verify(now, r, authorization, "secret", region, service); err != nil {
		t.Error(err)
	}
	r.Header.Set("X-Amz-Content-Sha256", fmt.Sprintf("%x", sha256.Sum256([]byte("other"))))
	sigv4.Sign(r, sigv4.Credentials{AccessKeyID: "K", Secret: "secret"}, region, service, now)
	if err := verify(now, r, r.Header.Get("Authorization"), "secret", region, service); err == nil {
		t.Error("accepted the hash of another body")
	}
}

// TestVerifyPathAsSent: both canonical paths are accepted, but the second not
// where it would let a signature for one path serve for another.
func TestVerifyPathAsSent(t *testing.T) {
	now := at(t, "20261122T150447Z")
	key := sigv4.DeriveKey("secret", "20261122", region, service)
	for _, tt := range []struct {
		path string
		want bool
	}{
		{"/model/a%3A0/converse", true},
		{"/model/a:0/converse", true},
		{"/model/a%253A0/converse", false}, // signed by an honest client, this is the form of a%3A0
	} {
		r := &sigv4.Request{Method: "POST", RawPath: tt.path, Authority: "example.com", Header: header("X-Amz-Date: 20261122T150447Z")}
		a := sigv4.Authorization{KeyID: "K", Date: "20261122", Region: region, Service: service, SignedHeaders: []string{"host", "x-amz-date"}}
		a.Signature = sigv4.MAC(key, sigv4.StringToSign("20261122T150447Z", region, service, sigv4.CanonicalRequest(r, a.SignedHeaders, false)))
		if err := a.Check(now, r, region, service); err != nil {
			t.Fatal(err)
		}
		if got := a.Verify(r, key); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.path, got, tt.want)
		}
	}
}

func TestMAC(t *testing.T) {
	for n := range 1000 {
		key := sha256.Sum256([]byte{byte(n), byte(n >> 8)})
		message := bytes.Repeat([]byte{byte(n)}, n)
		want := hmac.New(sha256.New, key[:])
		want.Write(message)
		if got := sigv4.MAC(key, message); !hmac.Equal(got[:], want.Sum(nil)) {
			t.Fatalf("%d bytes: got %x, want %x", n, got, want.Sum(nil))
		}
	}
}

func TestSecretsPrintRedacted(t *testing.T) {
	const secret = "wJalrXUtnFEMI"
	key := sigv4.DeriveKey(secret, "20261122", region, service)
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	for _, v := range []any{sigv4.Secret(secret), key, sigv4.Credentials{AccessKeyID: "K", Secret: secret, SessionToken: secret}, struct{ K sigv4.SigningKey }{key}} {
		fmt.Fprintf(&out, "%v %+v %#v %s %q %x %d\n", v, v, v, v, v, v, v)
		if err := json.NewEncoder(&out).Encode(v); err != nil {
			t.Error(err)
		}
		log.Info("x", "v", v)
	}
	out.WriteString(sigv4.Secret(secret).String() + sigv4.Secret(secret).GoString() + key.String() + key.GoString())
	for _, bad := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%x", key[:4]), fmt.Sprint(key[0], key[1])} {
		if strings.Contains(strings.ToLower(out.String()), strings.ToLower(bad)) {
			t.Errorf("%q is printed in\n%s", bad, out.String())
		}
	}
}
