// SPDX-License-Identifier: Apache-2.0

package web

import (
	"cmp"
	"strings"
)

// consentView is Consent with every text made safe to read, and with the
// decisions taken that a template should not take.
type consentView struct {
	Action, Request, CSRF string

	Client         string // empty: the program gave no name
	ClientVerified bool
	ClientHost     []string

	Destination []string // "claude.ai", "localhost:33418", "cursor://anysphere.cursor-mcp"
	RedirectURI []string
	Warning     string // see warning
	Scheme      string

	Title       string // the resource, by name if it has one
	Resource    string
	ResourceURL []string
	Scopes      []term
	Upstreams   []upstreamView
	// SignIn is the only upstream, nil when there is a choice.
	SignIn *upstreamView
	// Token is the only token that the server receives, nil if there are several to
	// choose from, which are Tokens then.
	Token  *tokenView
	Tokens []tokenView
	// Account is who is signed in, nil for nobody.
	Account *accountView
	// Undo is where not being asked again is undone, nil if it is not offered.
	Undo []string
}

// accountView is the choice to go on as who is signed in.
type accountView struct{ Value, Name, Upstream string }

// tokenView is a token that leaves the gateway.
type tokenView struct {
	Upstream string
	Scopes   []term
}

type upstreamView struct {
	Name, Label string
	Scopes      []term
	First       bool
}

func newConsentView(c *Consent) *consentView {
	v := &consentView{
		Action: c.Action, Request: c.Request, CSRF: c.CSRF,
		Client: readable(c.ClientName), ClientVerified: c.ClientVerified,
		Destination: breakable(destination(c)), RedirectURI: breakable(ascii(c.RedirectURI)),
		Warning: warning(c.RedirectKind), Scheme: ascii(c.RedirectScheme),
		Resource: readable(c.ResourceName), ResourceURL: breakable(ascii(c.ResourceURL)),
		Scopes: terms(c.Scopes),
	}
	v.Title = cmp.Or(v.Resource, strings.TrimPrefix(ascii(c.ResourceURL), "https://"))
	if c.ClientVerified {
		v.ClientHost = breakable(ascii(c.ClientHost))
	}
	for i, u := range c.Upstreams {
		v.Upstreams = append(v.Upstreams, upstreamView{
			Name: u.Name, Label: readable(u.Label), Scopes: terms(u.Scopes), First: i == 0,
		})
	}
	for _, f := range c.ForwardsToken {
		v.Tokens = append(v.Tokens, tokenView{Upstream: readable(f.Upstream), Scopes: terms(f.Scopes)})
	}
	if len(v.Tokens) == 1 {
		v.Token, v.Tokens = &v.Tokens[0], nil
	}
	if c.MayRemember {
		v.Undo = breakable(strings.TrimPrefix(ascii(c.SignOutURL), "https://"))
	}
	switch {
	case c.SignedIn != nil:
		v.Account = &accountView{StaySignedIn, readable(c.SignedIn.Name), readable(c.SignedIn.Upstream)}
	case len(v.Upstreams) == 1:
		v.SignIn = &v.Upstreams[0]
	}
	return v
}

// destination is the short form of the redirect URI that the page shows large:
// the host for a website or a program on this computer, and the scheme with it
// where the scheme is what decides who gets the answer (M-29). RedirectHost may
// have the scheme in front already.
func destination(c *Consent) string {
	scheme, host := ascii(c.RedirectScheme), ascii(c.RedirectHost)
	switch {
	case c.RedirectKind == redirectHTTPS || c.RedirectKind == redirectLoopback:
		return host
	case host == "" || host == scheme+":":
		return scheme + ":"
	case strings.HasPrefix(host, scheme+"://"):
		return host
	default:
		return scheme + "://" + host
	}
}

// warning is the kind of address to warn about, or "" for a website, which only its
// owner can answer at. Behind the others may be any program of this computer (M-29,
// M-30); a kind this page does not know is no exception.
func warning(kind string) string {
	switch kind {
	case redirectHTTPS:
		return ""
	case redirectLoopback:
		return redirectLoopback
	default:
		return redirectPrivateUse
	}
}
