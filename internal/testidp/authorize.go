// SPDX-License-Identifier: Apache-2.0

package testidp

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// codeLifetime is how long GitHub honours a code.
const codeLifetime = 10 * time.Minute

const errorDocs = "https://docs.github.com/apps/managing-oauth-apps/troubleshooting-authorization-request-errors/"

// code is an authorization code that was not redeemed yet.
type code struct {
	user        int64
	scopes      []string
	redirectURI string
	challenge   string // S256, empty without PKCE
	expires     time.Time
}

// approval is what a user consented to before; GitHub does not ask again.
type approval struct {
	user   int64
	scopes string
}

// authorization is a checked authorization request.
type authorization struct {
	redirectURI string
	state       string
	scopes      []string
	challenge   string
	prompt      string
}

// parseAuthorization checks a request in GitHub's order and answers it itself
// if it is not acceptable. An unknown app is a page; a wrong redirect_uri goes
// back to the registered one, never to the one in the request.
func (g *GitHub) parseAuthorization(w http.ResponseWriter, r *http.Request, v url.Values) (authorization, bool) {
	g.mu.Lock()
	registered, suspended := g.cfg.RedirectURIs, g.suspend
	g.mu.Unlock()
	if v.Get("client_id") != g.cfg.ClientID {
		g.page(w, http.StatusNotFound, "Page not found", "")
		return authorization{}, false
	}
	a := authorization{
		redirectURI: v.Get("redirect_uri"),
		state:       v.Get("state"),
		scopes:      normalizeScopes(strings.FieldsFunc(v.Get("scope"), isScopeSeparator)),
		challenge:   v.Get("code_challenge"),
		prompt:      v.Get("prompt"),
	}
	if a.redirectURI == "" && len(registered) > 0 {
		a.redirectURI = registered[0]
	}
	switch {
	case !redirectAllowed(registered, a.redirectURI):
		if len(registered) == 0 {
			g.page(w, http.StatusBadRequest, "Be careful!", "<p>The redirect_uri is not associated with this application.</p>")
			return authorization{}, false
		}
		a.redirectURI = registered[0]
		g.fail(w, r, a, "redirect_uri_mismatch", "The redirect_uri MUST match the registered callback URL for this application.")
		return authorization{}, false
	case suspended:
		g.fail(w, r, a, "application_suspended", "Your application has been suspended. Contact support@github.com.")
		return authorization{}, false
	case (a.challenge != "" || v.Has("code_challenge_method")) && (v.Get("code_challenge_method") != "S256" || len(a.challenge) != 43):
		g.fail(w, r, a, "invalid_request", "code_challenge_method must be S256 and code_challenge 43 characters.")
		return authorization{}, false
	}
	return a, true
}

func (g *GitHub) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	a, ok := g.parseAuthorization(w, r, r.URL.Query())
	if !ok {
		return
	}
	g.mu.Lock()
	mode, user := g.mode, g.current
	if mode == Interactive || user == 0 {
		mode, user = Interactive, g.sessionUser(r)
	}
	before := g.approved[approval{user, strings.Join(a.scopes, ",")}]
	suspended := g.users[user] != nil && g.users[user].Suspended
	g.mu.Unlock()
	switch {
	case suspended:
		g.page(w, http.StatusForbidden, "Account suspended", "<p>Access to your account has been suspended.</p>")
	case mode == Deny:
		g.fail(w, r, a, "access_denied", "The user has denied your application access.")
	case mode == Approve, user != 0 && before && a.prompt == "":
		g.approve(w, r, a, user)
	case user == 0:
		g.loginPage(w, r, http.StatusOK, "")
	default:
		g.consentPage(w, r, a, user)
	}
}

// approve issues a code and sends the browser back.
func (g *GitHub) approve(w http.ResponseWriter, r *http.Request, a authorization, user int64) {
	value := randomHex(10)
	g.mu.Lock()
	scopes := a.scopes
	if g.granted != nil {
		scopes = normalizeScopes(*g.granted)
	}
	g.approved[approval{user, strings.Join(a.scopes, ",")}] = true
	g.codes[value] = &code{
		user: user, scopes: scopes, redirectURI: a.redirectURI,
		challenge: a.challenge, expires: g.cfg.Now().Add(codeLifetime),
	}
	g.mu.Unlock()
	g.sendBack(w, r, a, url.Values{"code": {value}})
}

func (g *GitHub) fail(w http.ResponseWriter, r *http.Request, a authorization, code, description string) {
	g.sendBack(w, r, a, url.Values{
		"error":             {code},
		"error_description": {description},
		"error_uri":         {errorDocs + "#" + strings.ReplaceAll(code, "_", "-")},
	})
}

func (g *GitHub) sendBack(w http.ResponseWriter, r *http.Request, a authorization, answer url.Values) {
	target, err := url.Parse(a.redirectURI)
	if err != nil {
		g.page(w, http.StatusBadRequest, "Be careful!", "")
		return
	}
	q := target.Query()
	for name, values := range answer {
		q[name] = values
	}
	if a.state != "" {
		q.Set("state", a.state)
	}
	if !g.cfg.OmitIssuer {
		q.Set("iss", originOf(r)+"/login/oauth")
	}
	target.RawQuery = q.Encode()
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, target.String(), http.StatusFound)
}

// redirectAllowed is GitHub's rule: host and port have to match, the path may be
// below the registered one, and on a loopback address the port does not matter.
func redirectAllowed(registered []string, given string) bool {
	u, err := url.Parse(given)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return false
	}
	return len(registered) == 0 || slices.ContainsFunc(registered, func(s string) bool {
		reg, err := url.Parse(s)
		if err != nil || reg.Scheme != u.Scheme {
			return false
		}
		sameHost := strings.EqualFold(reg.Host, u.Host) || isLoopback(reg.Hostname()) && reg.Hostname() == u.Hostname()
		base := strings.TrimSuffix(reg.Path, "/")
		return sameHost && (u.Path == reg.Path || u.Path == base || strings.HasPrefix(u.Path, base+"/")) && !strings.Contains(u.Path, "..")
	})
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// originOf is the fake's own address as the client sees it.
func originOf(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
