package chat

import "net/http"

const maxCredentials = 8 << 10 // bytes of a register or login body

// Register makes an account.
func (a *API) Register(w http.ResponseWriter, r *http.Request) {
	in, ok := a.body(w, r, maxCredentials, 2, "email", "password", "invitation")
	if !ok {
		return
	}
	done, err := a.o.Accounts.Register(r.Context(), a.o.ClientIP(r), in[0], in[1], in[2])
	if err != nil {
		a.fail(w, err)
		return
	}
	write(w, http.StatusCreated, struct {
		ID      string `json:"id"`
		Email   string `json:"email"`
		Message string `json:"message"`
	}{done.ID, done.Email, "Account created. Proceed to login to access the Chat"})
}

// Login checks a password and answers with a token.
func (a *API) Login(w http.ResponseWriter, r *http.Request) {
	in, ok := a.body(w, r, maxCredentials, 2, "email", "password")
	if !ok {
		return
	}
	session, err := a.o.Accounts.Login(r.Context(), a.o.ClientIP(r), in[0], in[1])
	if err != nil {
		a.fail(w, err)
		return
	}
	write(w, http.StatusOK, struct {
		StatusCode int    `json:"statusCode"`
		Email      string `json:"email"`
		Message    string `json:"message"`
		Token      string `json:"token"`
	}{http.StatusOK, session.Email, "Successfully authenticated. Proceed to access the Chat", string(session.Token)})
}
