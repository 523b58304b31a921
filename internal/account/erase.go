package account

import "context"

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
