// SPDX-License-Identifier: Apache-2.0

package testop

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// login is an authorization request, from the browser's arrival to the code. It
// implements op.AuthRequest.
type login struct {
	id       string
	request  oidc.AuthRequest
	subject  string // empty until somebody signed in
	signedIn time.Time
}

var _ op.AuthRequest = (*login)(nil)

func (l *login) GetID() string                      { return l.id }
func (l *login) GetACR() string                     { return "" }
func (l *login) GetAMR() []string                   { return []string{"pwd"} }
func (l *login) GetAudience() []string              { return []string{l.request.ClientID} }
func (l *login) GetAuthTime() time.Time             { return l.signedIn }
func (l *login) GetClientID() string                { return l.request.ClientID }
func (l *login) GetNonce() string                   { return l.request.Nonce }
func (l *login) GetRedirectURI() string             { return l.request.RedirectURI }
func (l *login) GetResponseType() oidc.ResponseType { return l.request.ResponseType }
func (l *login) GetResponseMode() oidc.ResponseMode { return l.request.ResponseMode }
func (l *login) GetScopes() []string                { return l.request.Scopes }
func (l *login) GetState() string                   { return l.request.State }
func (l *login) GetSubject() string                 { return l.subject }
func (l *login) Done() bool                         { return l.subject != "" }

func (l *login) GetCodeChallenge() *oidc.CodeChallenge {
	if l.request.CodeChallenge == "" {
		return nil
	}
	return &oidc.CodeChallenge{Challenge: l.request.CodeChallenge, Method: l.request.CodeChallengeMethod}
}

// asks reports that the login page has to be shown to somebody who is signed in.
func (l *login) asks() bool {
	return slices.ContainsFunc(l.request.Prompt, func(p string) bool {
		return p == oidc.PromptSelectAccount || p == oidc.PromptLogin
	})
}

var loginPage = template.Must(template.New("login").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in</title></head><body>
<h1>Sign in</h1>
<form method="post"><input type="hidden" name="id" value="{{.ID}}">
{{range .Users}}<p><button name="subject" value="{{.Subject}}">{{.Name}}</button></p>
{{end}}<p><button name="subject" value="">Cancel</button></p></form>
</body></html>
`))

// serveLogin is the login page: a button per user. Who is signed in does not see it.
func (p *Provider) serveLogin(w http.ResponseWriter, r *http.Request) {
	id := r.FormValue("id")
	p.mu.Lock()
	l, ok := p.logins[id]
	subject := p.signedIn
	p.mu.Unlock()
	switch {
	case !ok:
		http.Error(w, "no such login", http.StatusBadRequest)
	case r.Method == http.MethodPost:
		p.finish(w, r, l, r.PostForm.Get("subject"))
	case subject != "" && !l.asks():
		p.finish(w, r, l, subject)
	default:
		p.showLogin(w, id)
	}
}

func (p *Provider) showLogin(w http.ResponseWriter, id string) {
	page := struct {
		ID    string
		Users []User
	}{ID: id}
	p.mu.Lock()
	for _, u := range p.users {
		page.Users = append(page.Users, u)
	}
	p.mu.Unlock()
	slices.SortFunc(page.Users, func(a, b User) int { return strings.Compare(a.Subject, b.Subject) })
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := loginPage.Execute(w, page); err != nil {
		panic(err)
	}
}

// finish goes on with a user, or sends the browser back with access_denied.
func (p *Provider) finish(w http.ResponseWriter, r *http.Request, l *login, subject string) {
	if subject == "" {
		back, err := url.Parse(l.request.RedirectURI)
		if err != nil {
			panic(err)
		}
		q := back.Query()
		q.Set("error", "access_denied")
		q.Set("state", l.request.State)
		back.RawQuery = q.Encode()
		http.Redirect(w, r, back.String(), http.StatusFound)
		return
	}
	p.mu.Lock()
	l.subject, l.signedIn = subject, time.Now()
	p.signedIn = subject
	p.mu.Unlock()
	http.Redirect(w, r, p.origin()+p.cfg.prefix()+"/authorize/callback?id="+url.QueryEscape(l.id), http.StatusFound)
}
