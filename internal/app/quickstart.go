package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gatehouse/internal/account"
	"gatehouse/internal/call"
)

// The first start makes a user and a key, so that a first call needs no other
// command. Their secrets stand in quickstart.env, for the owner alone, as lines
// that a shell reads; revoking the key or deleting the file ends it.
const (
	quickstartFile = "quickstart.env"
	quickstartUser = "quickstart"
)

// announce writes the ready line and, for the emulator, the block to paste.
func (s *server) announce(ctx context.Context) error {
	path := filepath.Join(s.o.DataDir, quickstartFile)
	if err := s.data.quickstart(ctx, path); err != nil {
		return err
	}
	if s.data.cut > 0 || s.data.recovery.Dropped > 0 {
		fmt.Fprintf(s.o.Stderr, "recovered: %d calls were interrupted, %d bytes of a half-written record dropped\n", s.data.cut, s.data.recovery.Dropped)
	}
	for _, damage := range s.data.recovery.Damage {
		fmt.Fprintf(s.o.Stderr, "journal damaged: %s; see gatehouse journal verify\n", damage)
	}
	fmt.Fprintf(s.o.Stderr, "ready %s admin=%s upstream=%q\n", s.info.endpoint, s.admin, s.upstreamName)
	if s.info.caFile != "" {
		fmt.Fprintf(s.o.Stderr, "clients must trust the local CA: %s\n", s.info.caFile)
	}
	if !s.o.Paste {
		return nil
	}
	env, err := os.ReadFile(path)
	if err != nil {
		return nil // deleted: no block
	}
	fmt.Fprint(s.o.Stderr, s.block(string(env)))
	return nil
}

// block is what to paste into another terminal of this machine.
func (s *server) block(env string) string {
	var b strings.Builder
	b.WriteString("\nPaste this into another terminal and make a guarded call:\n\n")
	if s.c.Upstream.Kind != "emulator" {
		fmt.Fprintf(&b, "  . %s\n", filepath.Join(s.o.DataDir, quickstartFile))
	} else {
		for line := range strings.Lines(env) {
			if strings.HasPrefix(line, "export ") {
				b.WriteString("  " + line)
			}
		}
	}
	fmt.Fprintf(&b, "  export AWS_ENDPOINT_URL_BEDROCK_RUNTIME=%s AWS_ENDPOINT_URL_BEDROCK=%s ANTHROPIC_BEDROCK_BASE_URL=%s\n", s.info.endpoint, s.info.endpoint, s.info.endpoint)
	fmt.Fprintf(&b, "  export AWS_REGION=%s AWS_DEFAULT_REGION=%s\n", s.c.Region, s.c.Region)
	if s.info.caFile != "" {
		fmt.Fprintf(&b, "  export AWS_CA_BUNDLE=%s NODE_EXTRA_CA_CERTS=%s\n", s.info.caFile, s.info.caFile)
	}
	b.WriteString("  unset AWS_SESSION_TOKEN AWS_PROFILE\n")
	curl := "curl"
	if s.info.caFile != "" {
		curl += " --cacert " + s.info.caFile
	}
	fmt.Fprintf(&b, "  %s -s %s/model/amazon.nova-lite-v1:0/converse -H \"Authorization: Bearer $GATEHOUSE_API_KEY\" -H 'Content-Type: application/json' -d '{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"Hello\"}]}]}'; echo\n\n", curl, s.info.endpoint)
	return b.String()
}

// quickstart makes the first user and key where there is no user yet.
func (d *Data) quickstart(ctx context.Context, path string) error {
	users, err := d.accounts.Users(ctx)
	if err != nil || len(users) > 0 {
		return err
	}
	if _, _, err := d.accounts.AddUser(ctx, account.NewUser{Name: quickstartUser}); err != nil {
		return err
	}
	k, err := d.accounts.CreateKey(ctx, account.NewKey{Name: "first start", User: quickstartUser})
	if err != nil {
		return err
	}
	env := fmt.Sprintf("# Key %s of user %s, made on the first start. Revoke it: gatehouse key revoke %s\n"+
		"export AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s\nexport GATEHOUSE_API_KEY=%s\n",
		k.Key.ID, quickstartUser, k.Key.ID, k.Key.ID, string(k.SecretKey), string(k.APIKey))
	if err := os.WriteFile(path, []byte(env), 0o600); err != nil {
		return errors.Join(fmt.Errorf("quickstart: %w", err), d.accounts.RevokeKey(ctx, call.KeyID(k.Key.ID)))
	}
	return nil
}
