// SPDX-License-Identifier: Apache-2.0

package web

// consentView is Consent with every text made safe to read, and with the
// decisions taken that a template should not take.
type consentView struct {
	Action, Request, CSRF string

	Client         string // empty: the program gave no name
	ClientVerified bool
	ClientHost     string

	Destination string // "claude.ai", "localhost:33418", "cursor://anysphere.cursor-mcp"
	RedirectURI string
	Warning     string // empty for https
	Scheme      string

	Resource, ResourceURL string
	Scopes                []term
	Upstreams             []upstreamView
	// SignIn is the only upstream, nil when there is a choice.
	SignIn *upstreamView
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
		Destination: destination(c), RedirectURI: ascii(c.RedirectURI),
		Warning: c.RedirectKind, Scheme: ascii(c.RedirectScheme),
		Resource: readable(c.ResourceName), ResourceURL: ascii(c.ResourceURL),
		Scopes: terms(c.Scopes),
	}
	if c.ClientVerified {
		v.ClientHost = ascii(c.ClientHost)
	}
	if c.RedirectKind == redirectHTTPS {
		v.Warning = ""
	}
	for i, u := range c.Upstreams {
		v.Upstreams = append(v.Upstreams, upstreamView{
			Name: u.Name, Label: readable(u.Label), Scopes: terms(u.Scopes), First: i == 0,
		})
	}
	if len(v.Upstreams) == 1 {
		v.SignIn = &v.Upstreams[0]
	}
	return v
}

// destination is the short form of the redirect URI that the page shows large:
// the host for a website or a program on this computer, and the scheme with it
// where the scheme is what decides who gets the answer (M-29).
func destination(c *Consent) string {
	switch {
	case c.RedirectKind == redirectHTTPS || c.RedirectKind == redirectLoopback:
		return ascii(c.RedirectHost)
	case c.RedirectHost == "":
		return ascii(c.RedirectScheme) + ":"
	default:
		return ascii(c.RedirectScheme) + "://" + ascii(c.RedirectHost)
	}
}
