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

// The first start on the emulator makes a user and a key, so that a first call
// needs no other command. Their secrets are printed that once and stand in
// quickstart.env, for the owner alone, as lines that a shell reads. In front of
// real models no key is made that nobody asked for.
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
	block, err := s.quickstart(ctx, path)
	if err != nil {
		return err
	}
	if s.data.cut > 0 || s.data.recovery.Dropped > 0 {
		fmt.Fprintf(s.o.Stderr, "recovered: %d calls were interrupted, %d bytes of a half-written record dropped\n", s.data.cut, s.data.recovery.Dropped)
	}
	for _, damage := range s.data.recovery.Damage {
		fmt.Fprintf(s.o.Stderr, "journal damaged: %s; see gatehouse journal verify\n", damage)
	}
	fmt.Fprintf(s.o.Stderr, "ready %s admin=%s upstream=%q%s\n", s.info.endpoint, s.admin, s.upstreamName, s.ingestWord())
	if s.info.caFile != "" {
		fmt.Fprintf(s.o.Stderr, "clients must trust the local CA: %s\n", s.info.caFile)
	}
	fmt.Fprint(s.o.Stderr, block)
	return nil
}

// ingestWord names the listener for pushes, when there is one.
func (s *server) ingestWord() string {
	if s.ingest == "" {
		return ""
	}
	return " ingest=" + s.ingest
}

// quickstart returns what to print below the ready line: the block to paste,
// with secrets on the first start and by the file's name later, or how to get a key.
func (s *server) quickstart(ctx context.Context, path string) (string, error) {
	users, err := s.data.accounts.Users(ctx)
	if err != nil {
		return "", err
	}
	if len(users) == 0 && s.c.Upstream.Kind == "emulator" {
		env, err := s.data.firstKey(ctx, path)
		return s.block(env), err
	}
	live, err := s.data.liveKeys(ctx)
	if err != nil {
		return "", err
	}
	env, err := os.ReadFile(path)
	for id := range live {
		if err == nil && strings.Contains(string(env), string(id)) {
			return s.block(". " + path + "\n"), nil
		}
	}
	if len(live) > 0 {
		return "", nil
	}
	return "There is no key yet. Make one: gatehouse key create --data " + s.o.DataDir + " --name first\n", nil
}

// block is what to paste into another shell of this machine.
func (s *server) block(credentials string) string {
	var b strings.Builder
	b.WriteString("\nPaste this into another shell, and its programs' calls go through Gatehouse:\n\n")
	lines := admin.Paste(admin.Info{Region: s.c.Region, Endpoint: s.info.endpoint, CAFile: s.info.caFile}, admin.IssuedKey{}) + credentials
	for line := range strings.Lines(lines) {
		if !strings.HasPrefix(line, "#") { // some shells take no comments at the prompt
			b.WriteString("  " + line)
		}
	}
	curl := "curl"
	if s.info.caFile != "" {
		curl += " --cacert \"$AWS_CA_BUNDLE\""
	}
	fmt.Fprintf(&b, "  %s -sS $AWS_ENDPOINT_URL_BEDROCK_RUNTIME/model/amazon.nova-lite-v1:0/converse -H \"Authorization: Bearer $GATEHOUSE_API_KEY\" -H 'Content-Type: application/json' -d '{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"Hello\"}]}]}'; echo\n\n", curl)
	return b.String()
}

// liveKeys are the keys that work now.
func (d *Data) liveKeys(ctx context.Context) (map[call.KeyID]bool, error) {
	keys, err := d.accounts.Keys(ctx, "")
	live := map[call.KeyID]bool{}
	for _, k := range keys {
		if k.State == "live" {
			live[k.ID] = true
		}
	}
	return live, err
}

// firstKey makes the first user and key, and returns the lines that hold it.
func (d *Data) firstKey(ctx context.Context, path string) (string, error) {
	if _, _, err := d.accounts.AddUser(ctx, account.NewUser{Name: quickstartUser}); err != nil {
		return "", err
	}
	k, err := issued(d.accounts.CreateKey(ctx, account.NewKey{Name: "first start", User: quickstartUser}))
	if err != nil {
		return "", err
	}
	env := admin.Credentials(k)
	note := "# Made on the first start. To end it: gatehouse key revoke " + k.AccessKeyID + "\n"
	if err := os.WriteFile(path, []byte(note+env), 0o600); err != nil {
		return "", errors.Join(fmt.Errorf("quickstart: %w", err), d.accounts.RevokeKey(ctx, call.KeyID(k.AccessKeyID)))
	}
	return env, nil
}
