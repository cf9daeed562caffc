// SPDX-License-Identifier: Apache-2.0

package web

import (
	"errors"
	"net/http"
)

// SignIn is the page that asks for a name and a password.
type SignIn struct {
	// Action is where the form is posted. The fields are "username" and "password".
	Action string
	// State and CSRF go into the hidden fields "state" and "csrf". Mandatory.
	State string
	CSRF  string
	// Label is what one signs in with: "a password".
	Label string
	// ResourceName and ClientName say what the sign-in is for. Either may be empty.
	ResourceName string
	ClientName   string
	// Username is filled in again after a failed attempt.
	Username string
	// Error says why the attempt before failed; empty on the first one.
	Error string
}

// WriteSignIn writes the sign-in page.
func WriteSignIn(w http.ResponseWriter, status int, s *SignIn) error {
	if s.Action == "" || s.State == "" || s.CSRF == "" {
		fail(w)
		return errors.New("sign-in page: form is not bound to a sign-in")
	}
	return render(w, pageStatus(status), signInPage, &SignIn{
		Action: s.Action, State: s.State, CSRF: s.CSRF,
		Label: readable(s.Label), ResourceName: readable(s.ResourceName), ClientName: readable(s.ClientName),
		Username: s.Username, Error: s.Error,
	})
}
