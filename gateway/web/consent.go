// SPDX-License-Identifier: Apache-2.0

package web

import (
	"errors"
	"net/http"
)

// Kinds of redirect URI, as the consent page explains them. Anything that is not
// https gets a warning, unknown kinds included.
const (
	redirectHTTPS      = "https"
	redirectLoopback   = "loopback"
	redirectPrivateUse = "private-use"
)

// Consent is the question whether a program may act for the user.
type Consent struct {
	// Action is where the form is posted, "/authorize/consent".
	Action string
	// Request and CSRF go into the hidden fields "request" and "csrf". Mandatory.
	Request string
	CSRF    string

	// ClientName is what the program calls itself. It may be empty.
	ClientName string
	// ClientVerified says that more than the program's own word stands behind the
	// name: the operator registered it, or ClientHost published it.
	ClientVerified bool
	// ClientHost is the verified host of a client ID metadata document, or empty. It
	// counts only with ClientVerified.
	ClientHost string

	// RedirectScheme and RedirectHost say where the answer goes: "https" and
	// "claude.ai", "http" and "localhost:33418", "cursor" and
	// "anysphere.cursor-mcp". A private-use URI may have no host, and may have its
	// scheme in RedirectHost too: "cursor://anysphere.cursor-mcp".
	RedirectScheme string
	RedirectHost   string
	// RedirectURI is the whole address (R6.2, R4.10).
	RedirectURI string
	// RedirectKind is "https", "loopback" or "private-use".
	RedirectKind string

	// ResourceName may be empty; ResourceURL then stands in for it.
	ResourceName string
	ResourceURL  string
	// Scopes are what the program will be granted at the resource.
	Scopes []string

	// Upstreams are the ways to sign in, at least one. Of several the user chooses
	// one; the first is preselected. The choice is the field "upstream".
	Upstreams []Upstream
	// ForwardsToken warns that the server behind us receives the user's own token,
	// one entry for each upstream through which it would. Empty: it receives none.
	ForwardsToken []ForwardedToken
	// SignedIn is who is signed in in this browser, or nil. Going on as they are is
	// then a further choice, StaySignedIn, and the preselected one.
	SignedIn *Account
	// MayRemember offers not to ask again. The answer is the field "remember",
	// RememberYes or absent, and absent unless the user does something. It is undone
	// at SignOutURL, which is mandatory with it.
	MayRemember bool
	SignOutURL  string
}

// Values of the form's fields. The first is no name an upstream can have: those
// are parts of paths.
const (
	StaySignedIn = "@signed-in"
	RememberYes  = "yes"
)

// Account is who is signed in.
type Account struct {
	// Name is what they recognise themselves by, Upstream the label of where they
	// signed in. Both are mandatory.
	Name, Upstream string
}

// ForwardedToken is a token that leaves the gateway.
type ForwardedToken struct {
	// Upstream is the label of the upstream whose token it is: "GitHub".
	Upstream string
	// Scopes are what the token is good for. Empty where nobody knows: the page
	// then says that it may be anything.
	Scopes []string
}

// Upstream is one way to sign in.
type Upstream struct {
	// Name is the value of the field "upstream".
	Name string
	// Label is what people call it: "GitHub".
	Label string
	// Scopes are what its own page will ask the user for. Empty where it does not
	// ask, or for a password here.
	Scopes []string
}

// WriteConsent writes the consent page with status 200. The form's answer is the
// field "decision", "approve" or "deny". A question that lacks what makes the form
// safe, or what the user has to know, is answered by a 500 and an error.
func WriteConsent(w http.ResponseWriter, c *Consent) error {
	if err := c.check(); err != nil {
		fail(w)
		return err
	}
	return render(w, http.StatusOK, consentPage, newConsentView(c))
}

func (c *Consent) check() error {
	switch {
	case c.Action == "" || c.Request == "" || c.CSRF == "":
		return errors.New("consent page: form is not bound to a request")
	case c.RedirectURI == "" || c.RedirectScheme == "":
		return errors.New("consent page: nothing says where the answer goes")
	case c.RedirectHost == "" && c.RedirectKind != redirectPrivateUse:
		return errors.New("consent page: redirect URI without host")
	case c.RedirectKind == redirectHTTPS && c.RedirectScheme != "https":
		return errors.New("consent page: redirect URI is not what its kind says")
	case c.ResourceURL == "":
		return errors.New("consent page: no resource")
	case len(c.Upstreams) == 0:
		return errors.New("consent page: no way to sign in")
	case c.SignedIn != nil && (c.SignedIn.Name == "" || c.SignedIn.Upstream == ""):
		return errors.New("consent page: account without name or upstream")
	case c.MayRemember && c.RedirectKind != redirectHTTPS:
		return errors.New("consent page: only a website can be remembered")
	case c.MayRemember && c.SignOutURL == "":
		return errors.New("consent page: nothing says how to be asked again")
	}
	for _, f := range c.ForwardsToken {
		if f.Upstream == "" {
			return errors.New("consent page: nothing says whose token the server receives")
		}
	}
	for _, u := range c.Upstreams {
		if u.Name == "" || u.Label == "" || u.Name == StaySignedIn {
			return errors.New("consent page: upstream without name or label")
		}
	}
	return nil
}
