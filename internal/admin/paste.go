package admin

import (
	"fmt"
	"strings"
)

// Paste returns the lines that make a shell's SDK calls go through Gatehouse
// with the key. Pasting them is all that a client needs. Without a key they are
// the lines that hold no secret.
func Paste(info Info, k IssuedKey) string {
	var b strings.Builder
	set := func(name, value string) { fmt.Fprintf(&b, "export %s=%s\n", name, quote(value)) }
	b.WriteString("unset AWS_SESSION_TOKEN AWS_PROFILE AWS_BEARER_TOKEN_BEDROCK\n")
	b.WriteString(Credentials(k))
	set("AWS_REGION", info.Region)
	set("AWS_DEFAULT_REGION", info.Region)
	set("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", info.Endpoint)
	set("AWS_ENDPOINT_URL_BEDROCK", info.Endpoint)
	set("ANTHROPIC_BEDROCK_BASE_URL", info.Endpoint)
	if info.CAFile != "" {
		set("AWS_CA_BUNDLE", info.CAFile)
		set("NODE_EXTRA_CA_CERTS", info.CAFile)
	}
	return b.String()
}

// Credentials returns the lines that hold the key: the pair for SDKs, and the
// same key as one string, for curl or as AWS_BEARER_TOKEN_BEDROCK.
func Credentials(k IssuedKey) string {
	if k.AccessKeyID == "" {
		return ""
	}
	return "export AWS_ACCESS_KEY_ID=" + quote(k.AccessKeyID) + "\nexport AWS_SECRET_ACCESS_KEY=" + quote(k.SecretAccessKey) +
		"\nexport GATEHOUSE_API_KEY=" + quote(k.APIKey) + "\n"
}

// Redeem returns the request with which an invited user sets a password. What
// to choose is for the user to write in.
func Redeem(info Info, basePath string, u IssuedUser) string {
	curl := "curl -sS"
	if info.CAFile != "" {
		curl += " --cacert " + quote(info.CAFile)
	}
	body := fmt.Sprintf(`{"email":%q,"password":"CHOOSE ONE","invitation":%q}`, u.Name, u.Invitation) // names and codes are plain ASCII
	return curl + " " + quote(info.Endpoint+basePath+"/v1/auth/user/register") + " -H 'Content-Type: application/json' -d " + quote(body) + "\n"
}

// quote makes s one word of a shell.
func quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@%+=,") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
