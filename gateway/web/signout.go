// SPDX-License-Identifier: Apache-2.0

package web

import (
	"errors"
	"net/http"
	"strings"
)

// SignOut is the page with the button that ends a browser session, and the page
// that says there is none.
type SignOut struct {
	// Action is where the form is posted, "/signout".
	Action string
	// CSRF goes into the hidden field "csrf". Mandatory with SignedInAs.
	CSRF string
	// Site is the origin that the session is for. Mandatory.
	Site string
	// SignedInAs is who is signed in, empty for nobody. SignedInWith is where they
	// signed in, and may be empty.
	SignedInAs, SignedInWith string
}

type signOutView struct {
	Action, CSRF string
	Site         []string
	Account      *accountView // nil for nobody
}

// WriteSignOut writes the page with status 200. A form that is not bound to the
// session is answered by a 500 and an error.
func WriteSignOut(w http.ResponseWriter, s *SignOut) error {
	if s.Site == "" || s.SignedInAs != "" && (s.Action == "" || s.CSRF == "") {
		fail(w)
		return errors.New("sign-out page: form is not bound to a session")
	}
	v := &signOutView{Action: s.Action, CSRF: s.CSRF, Site: breakable(strings.TrimPrefix(ascii(s.Site), "https://"))}
	if s.SignedInAs != "" {
		v.Account = &accountView{Name: readable(s.SignedInAs), Upstream: readable(s.SignedInWith)}
	}
	return render(w, http.StatusOK, signOutPage, v)
}
