package admin

import (
	"errors"
	"fmt"
	"net/http"
)

// Error is a mistake of the caller, or a state that the caller can change. Its
// message is for people and holds nothing secret.
type Error struct {
	Status  int    `json:"-"` // HTTP
	Code    string `json:"code" doc:"for programs"`
	Message string `json:"message" doc:"for people: what, and what to do"`
}

func (e *Error) Error() string { return e.Message }

// Is makes errors of one class, which is the status, equal.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Status == e.Status
}

// The classes of errors. Say makes one with a message.
var (
	ErrInvalid      = &Error{http.StatusBadRequest, "invalid", "the request is malformed"}
	ErrUnauthorized = &Error{http.StatusUnauthorized, "unauthorized", "the admin token is missing or wrong: it stands in admin.token in the data directory"}
	ErrForbidden    = &Error{http.StatusForbidden, "forbidden", "the request comes from another site"}
	ErrNotFound     = &Error{http.StatusNotFound, "not_found", "there is no such thing"}
	ErrMethod       = &Error{http.StatusMethodNotAllowed, "method_not_allowed", "the method is not allowed here"}
	ErrConflict     = &Error{http.StatusConflict, "conflict", "it exists already"}
	ErrTooLarge     = &Error{http.StatusRequestEntityTooLarge, "too_large", "the body is too large"}
	ErrMediaType    = &Error{http.StatusUnsupportedMediaType, "unsupported_media_type", "send Content-Type: application/json"}
	ErrInternal     = &Error{http.StatusInternalServerError, "internal", "the server failed: see its log"}
	ErrDamaged      = &Error{http.StatusInternalServerError, "damaged", "records of the journal cannot be read: see gatehouse journal verify"}
	ErrUnavailable  = &Error{http.StatusServiceUnavailable, "unavailable", "the server is not ready"}
)

// Say returns an error of e's class with another message.
func (e *Error) Say(format string, args ...any) *Error {
	c := *e
	c.Message = fmt.Sprintf(format, args...)
	return &c
}

// public returns what a caller may know of err.
func public(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return ErrInternal
}
