package admin

import (
	"context"
	"net/http"
	"net/url"
)

// Erasures erase what users said and were answered.
type Erasures interface {
	// EraseUser overwrites the bodies of the user's calls in the journal, and
	// drops the prompts that the chat API keeps. The records stay, without the
	// texts, and say that it was asked for; the journal still verifies. What calls
	// under way write later stays: disable the user first. Done again it does
	// what was left.
	EraseUser(ctx context.Context, user string) (Erasure, error)
}

// Erasure is what became of a user's texts.
type Erasure struct {
	User    string `json:"user"`
	Calls   int    `json:"calls" doc:"the user's calls in the journal"`
	Bodies  int    `json:"bodies" doc:"requests, answers and parts of answers that were overwritten now"`
	Prompts int64  `json:"prompts" doc:"prompts of the chat API that were dropped now"`
}

// eraseUser goes on when the client leaves: what is begun is better ended, and
// a long journal takes longer than a request may take to arrive.
func eraseUser(ctx context.Context, s *service, in *input) (any, error) {
	return s.API.EraseUser(context.WithoutCancel(ctx), in.path["user"])
}

// EraseUser implements Erasures.
func (c *Client) EraseUser(ctx context.Context, user string) (Erasure, error) {
	return send[Erasure](ctx, c, http.MethodPost, "/api/v1/users/"+url.PathEscape(user)+"/erase", nil)
}
