package account

import (
	"context"
	"encoding/base64"
	"strings"

	"gatehouse/internal/seal"
	"gatehouse/internal/store"
)

// SavePrompt keeps what a user asked on the chat API.
func (s *Service) SavePrompt(ctx context.Context, p store.Prompt) error {
	if s.o.Keys != nil {
		box := s.o.Keys.Seal(nil, []byte(p.Text), promptContext(&p))
		p.Text = sealedPrompt + string(s.o.Keys.Current()) + ":" + base64.RawStdEncoding.EncodeToString(box)
	}
	return s.o.Store.Prompts().Add(ctx, p, s.o.PromptKeep)
}

// Prompts returns up to limit of one user's prompts older than the one with id
// before (0: from the newest), newest first. The text of one whose key is gone
// is empty.
func (s *Service) Prompts(ctx context.Context, userID string, before int64, limit int) ([]store.Prompt, error) {
	list, err := s.o.Store.Prompts().List(ctx, userID, before, limit)
	for i := range list {
		s.openPrompt(&list[i])
	}
	return list, err
}

// sealedPrompt begins the text of a prompt that is sealed: then come the key's
// id, a colon, and the box in base64.
const sealedPrompt = "sealed:"

func (s *Service) openPrompt(p *store.Prompt) {
	rest, sealed := strings.CutPrefix(p.Text, sealedPrompt)
	id, text, ok := strings.Cut(rest, ":")
	box, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if !sealed || !ok || err != nil || len(box) < seal.Overhead {
		return // one from before there was a key
	}
	plain, err := s.o.Keys.Open(nil, seal.ID(id), box, promptContext(p))
	if err != nil {
		plain = nil
	}
	p.Text = string(plain)
}

// promptContext ties a sealed prompt to its author and call.
func promptContext(p *store.Prompt) []byte {
	return []byte("gatehouse prompt " + p.UserID + " " + p.CallID)
}

// ErasePrompts drops what a user asked on the chat API, so that no file of the
// store holds it any more, and tells how many prompts there were. The journal's
// own record of these calls is not its business. The second return value is the
// user's id.
func (s *Service) ErasePrompts(ctx context.Context, name string) (prompts int64, userID string, err error) {
	u, err := s.find(ctx, name)
	if err != nil {
		return 0, "", err
	}
	prompts, err = s.o.Store.Prompts().Erase(ctx, u.ID)
	return prompts, u.ID, err
}
