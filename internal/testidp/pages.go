// SPDX-License-Identifier: Apache-2.0

package testidp

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
)

// sessionCookie is the name of GitHub's own.
const sessionCookie = "user_session"

// page writes one of the HTML pages that a browser, or a test that submits
// forms, meets. Body is trusted HTML.
func (g *GitHub) page(w http.ResponseWriter, status int, title, body string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<!DOCTYPE html>\n<html lang=\"en\"><head><title>%s · GitHub (test)</title></head>\n<body><h1>%s</h1>\n%s</body></html>\n",
		html.EscapeString(title), html.EscapeString(title), body)
}

// loginPage asks for login and password; they go to /session.
func (g *GitHub) loginPage(w http.ResponseWriter, r *http.Request, status int, problem string) {
	returnTo := r.URL.RequestURI()
	if r.Method == http.MethodPost {
		returnTo = r.PostForm.Get("return_to")
	}
	g.page(w, status, "Sign in to GitHub", fmt.Sprintf(`<p role="alert">%s</p>
<form action="/session" method="post">
<input type="hidden" name="return_to" value="%s">
<label>Username or email address <input name="login" autocomplete="username"></label>
<label>Password <input name="password" type="password" autocomplete="current-password"></label>
<button type="submit" name="commit" value="Sign in">Sign in</button>
</form>
`, html.EscapeString(problem), html.EscapeString(returnTo)))
}

// serveSession signs a user in and goes on to where the browser was heading.
func (g *GitHub) serveSession(w http.ResponseWriter, r *http.Request) {
	returnTo := r.PostForm.Get("return_to")
	if !strings.HasPrefix(returnTo, "/login/oauth/authorize?") {
		g.page(w, http.StatusUnprocessableEntity, "Your browser did something unexpected", "")
		return
	}
	session := randomHex(16)
	g.mu.Lock()
	u := g.byLogin(r.PostForm.Get("login"))
	ok := u != nil && (u.Password == "" || u.Password == r.PostForm.Get("password"))
	if ok {
		g.sessions[session] = u.ID
	}
	g.mu.Unlock()
	if !ok {
		g.loginPage(w, r, http.StatusOK, "Incorrect username or password.")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: session, Path: "/", HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, returnTo, http.StatusFound)
}

// sessionUser is who is signed in in this browser, or zero. The caller holds mu.
func (g *GitHub) sessionUser(r *http.Request) int64 {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return 0
	}
	if id := g.sessions[c.Value]; g.users[id] != nil {
		return id
	}
	return 0
}

// consentPage shows what is asked for; authorize=1 or 0 goes back to the same
// path by POST. The session cookie is SameSite=Lax, so the form needs no token.
func (g *GitHub) consentPage(w http.ResponseWriter, r *http.Request, a authorization, user int64) {
	g.mu.Lock()
	login := g.users[user].Login
	g.mu.Unlock()
	var body strings.Builder
	fmt.Fprintf(&body, "<p>Signed in as <strong>%s</strong></p>\n<ul>\n", html.EscapeString(login))
	for _, s := range a.scopes {
		fmt.Fprintf(&body, "<li>%s</li>\n", html.EscapeString(s))
	}
	body.WriteString("</ul>\n<form action=\"/login/oauth/authorize\" method=\"post\">\n")
	q := r.URL.Query()
	for _, name := range []string{"client_id", "redirect_uri", "state", "scope", "code_challenge", "code_challenge_method"} {
		if q.Has(name) {
			fmt.Fprintf(&body, "<input type=\"hidden\" name=\"%s\" value=\"%s\">\n", name, html.EscapeString(q.Get(name)))
		}
	}
	body.WriteString(`<button type="submit" name="authorize" value="0">Cancel</button>
<button type="submit" name="authorize" value="1">Authorize</button>
</form>
`)
	if u, err := url.Parse(a.redirectURI); err == nil {
		fmt.Fprintf(&body, "<p>Authorizing will redirect to <strong>%s</strong></p>\n", html.EscapeString(u.Scheme+"://"+u.Host))
	}
	g.page(w, http.StatusOK, "Authorize application", body.String())
}

// serveDecision is what the consent page submits.
func (g *GitHub) serveDecision(w http.ResponseWriter, r *http.Request) {
	a, ok := g.parseAuthorization(w, r, r.PostForm)
	if !ok {
		return
	}
	g.mu.Lock()
	user := g.sessionUser(r)
	g.mu.Unlock()
	switch {
	case user == 0:
		g.page(w, http.StatusUnprocessableEntity, "Your browser did something unexpected", "")
	case r.PostForm.Get("authorize") == "1":
		g.approve(w, r, a, user)
	default:
		g.fail(w, r, a, "access_denied", "The user has denied your application access.")
	}
}
