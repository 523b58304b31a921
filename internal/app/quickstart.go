package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gatehouse/internal/account"
	"gatehouse/internal/admin"
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
	path, err := filepath.Abs(filepath.Join(s.o.DataDir, quickstartFile))
	if err != nil {
		return err
	}
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
	env, err := os.ReadFile(path)
	if err == nil { // the file is there: its key has not been put away
		fmt.Fprint(s.o.Stderr, s.block(string(env), path))
	}
	return nil
}

// block is what to paste into another shell of this machine. Secrets are printed
// for the emulator only: what guards real models may be logged.
func (s *server) block(env, path string) string {
	var b strings.Builder
	b.WriteString("\nPaste this into another shell, and its programs' calls go through Gatehouse:\n\n")
	lines := admin.Paste(admin.Info{Region: s.c.Region, Endpoint: s.info.endpoint, CAFile: s.info.caFile}, admin.IssuedKey{})
	if s.c.Upstream.Kind == "emulator" {
		lines += env
	} else {
		lines += ". " + path + "\n"
	}
	for line := range strings.Lines(lines) {
		if !strings.HasPrefix(line, "#") { // some shells take no comments at the prompt
			b.WriteString("  " + line)
		}
	}
	curl := "curl"
	if s.info.caFile != "" {
		curl += " --cacert \"$AWS_CA_BUNDLE\""
	}
	fmt.Fprintf(&b, "  %s -s $AWS_ENDPOINT_URL_BEDROCK_RUNTIME/model/amazon.nova-lite-v1:0/converse -H \"Authorization: Bearer $GATEHOUSE_API_KEY\" -H 'Content-Type: application/json' -d '{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"Hello\"}]}]}'; echo\n\n", curl)
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
	issued, _ := issued(k, nil)
	env := "# Made on the first start. To end it: gatehouse key revoke " + issued.AccessKeyID + "\n" + admin.Credentials(issued)
	if err := os.WriteFile(path, []byte(env), 0o600); err != nil {
		return errors.Join(fmt.Errorf("quickstart: %w", err), d.accounts.RevokeKey(ctx, call.KeyID(k.Key.ID)))
	}
	return nil
}
