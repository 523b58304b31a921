package admin

import (
	"fmt"
	"strings"
)

// Paste returns the lines that make a shell's SDK calls go through Gatehouse
// with the key. Pasting them is all that a client needs.
func Paste(info Info, k IssuedKey) string {
	var b strings.Builder
	set := func(name, value string) { fmt.Fprintf(&b, "export %s=%s\n", name, quote(value)) }
	b.WriteString("unset AWS_SESSION_TOKEN AWS_PROFILE AWS_BEARER_TOKEN_BEDROCK\n")
	set("AWS_ACCESS_KEY_ID", k.AccessKeyID)
	set("AWS_SECRET_ACCESS_KEY", k.SecretAccessKey)
	set("AWS_REGION", info.Region)
	set("AWS_DEFAULT_REGION", info.Region)
	set("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", info.Endpoint)
	set("AWS_ENDPOINT_URL_BEDROCK", info.Endpoint)
	set("ANTHROPIC_BEDROCK_BASE_URL", info.Endpoint)
	if info.CAFile != "" {
		set("AWS_CA_BUNDLE", info.CAFile)
		set("NODE_EXTRA_CA_CERTS", info.CAFile)
	}
	b.WriteString("# Or, in place of the key pair:\n")
	fmt.Fprintf(&b, "# export AWS_BEARER_TOKEN_BEDROCK=%s\n", quote(k.APIKey))
	return b.String()
}

// quote makes s one word of a shell.
func quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@%+=,") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
