// SPDX-License-Identifier: Apache-2.0

package upstreamtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// env is what one test works with.
type env struct {
	*testing.T
	*World
	harness Harness
	logged  *logged
	secrets *secrets
}

func start(t *testing.T, h Harness, c Config) *env {
	t.Helper()
	e := &env{T: t, harness: h, logged: &logged{}, secrets: &secrets{}}
	c.Logger = slog.New(slog.NewJSONHandler(e.logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	e.World = h.Start(t, c)
	t.Cleanup(func() { e.keepsSecrets("the log", e.logged.String()) })
	t.Cleanup(e.keepsSecretsOutOfURLs)
	return e
}

// fresh is another world, for what can be done only once.
func (e *env) fresh(t *testing.T, c Config) *env {
	t.Helper()
	return start(t, e.harness, c)
}

// on is the same world in a subtest.
func (e *env) on(t *testing.T) *env {
	sub := *e
	sub.T = t
	return &sub
}

func (e *env) redirector() upstream.Redirector { return e.Upstream.(upstream.Redirector) }
func (e *env) checker() upstream.Checker       { return e.Upstream.(upstream.Checker) }
func (e *env) refresher() upstream.Refresher   { return e.Upstream.(upstream.Refresher) }

// need skips the test where the provider has no such thing.
func (e *env) need(what string, has bool) {
	e.Helper()
	if !has {
		e.Skipf("the harness has no %s", what)
	}
}

// attempt is one sign-in on its way.
type attempt struct {
	request  upstream.AuthRequest
	url      *url.URL
	callback url.Values
}

func (e *env) newRequest() upstream.AuthRequest {
	r := upstream.AuthRequest{State: "state-" + rand.Text(), Verifier: rand.Text() + rand.Text(), RedirectURI: e.RedirectURI}
	e.secrets.add(r.State, r.Verifier)
	return r
}

// begin asks where to send the browser.
func (e *env) begin(r upstream.AuthRequest) attempt {
	e.Helper()
	to, err := e.redirector().AuthCodeURL(e.Context(), r)
	if err != nil {
		e.Fatalf("AuthCodeURL: %v", err)
	}
	u, err := url.Parse(to)
	if err != nil {
		e.Fatalf("AuthCodeURL is no URL: %v", err)
	}
	return attempt{request: r, url: u}
}

// approved is a sign-in up to the callback.
func (e *env) approved(who Person) attempt {
	e.Helper()
	a := e.begin(e.newRequest())
	a.callback = e.Approve(e.T, a.url.String(), who)
	if code := a.callback.Get("code"); code == "" {
		e.Fatal("the provider sent the browser back without a code")
	}
	return a
}

// identify completes it, and holds every error to what all errors promise.
func (e *env) identify(ctx context.Context, a attempt) (*upstream.SignIn, error) {
	e.Helper()
	e.secrets.add(a.callback.Get("code"))
	in, err := e.redirector().Identify(ctx, a.callback, a.request.Verifier, a.request.RedirectURI)
	e.checkError(err)
	switch {
	case err != nil && in != nil:
		e.Errorf("a sign-in together with the error %v", err)
	case err == nil && in == nil:
		e.Fatal("neither a sign-in nor an error")
	case err == nil && in.Token != nil:
		e.secrets.add(in.Token.Access, in.Token.Refresh, in.Token.ID)
	}
	return in, err
}

// signIn is a whole sign-in that has to succeed.
func (e *env) signIn(who Person) *upstream.SignIn {
	e.Helper()
	in, err := e.identify(e.Context(), e.approved(who))
	if err != nil {
		e.Fatalf("sign-in: %v", err)
	}
	return in
}

// checkError holds an error, if it is one, to what all errors promise.
func (e *env) checkError(err error) {
	e.Helper()
	if err == nil {
		return
	}
	var r *upstream.Refusal
	if !errors.As(err, &r) {
		e.Fatalf("the error is %T, not a *upstream.Refusal: %v", err, err)
	}
	if r.Reason == "" || r.Err == nil {
		e.Errorf("a refusal without reason or without cause: %v", err)
	}
	text := err.Error()
	if len(text) > 4096 || strings.ContainsFunc(text, unicode.IsControl) {
		e.Errorf("the error has %d bytes, or control characters in it: %.200q", len(text), text)
	}
	e.keepsSecrets("the error", text)
}

// refused fails unless the error is a refusal for one of the reasons.
func (e *env) refused(err error, reasons ...upstream.Reason) {
	e.Helper()
	if err == nil {
		e.Fatalf("accepted, want a refusal for %q", reasons)
	}
	var r *upstream.Refusal
	if !errors.As(err, &r) || !slices.Contains(reasons, r.Reason) {
		e.Errorf("got %v, want a refusal for %q", err, reasons)
	}
}

// isPerson fails unless the identity is this person's, by all that identifies.
func (e *env) isPerson(id identity.Identity, who Person) {
	e.Helper()
	want := e.People[who]
	if id.Upstream != want.Upstream || id.Kind != want.Kind || id.ID != want.ID {
		e.Errorf("the identity is %+v, want upstream %q, kind %q, ID %q", id, want.Upstream, want.Kind, want.ID)
	}
}

// asked is how many requests the provider got.
func (e *env) asked() int { return len(e.Provider.Requests()) }

func (e *env) keepsSecrets(where, text string) {
	e.Helper()
	all := e.secrets.list()
	if e.World != nil && e.Secrets != nil {
		all = append(all, e.Secrets()...)
	}
	for _, s := range append(all, inBody) {
		if len(s) >= 6 && strings.Contains(text, s) {
			e.Errorf("%s tells the secret %q: %.300q", where, s, text)
		}
	}
}

// keepsSecretsOutOfURLs: a URL ends up in the log of every proxy in between. State
// and challenge are made for it, nothing else is.
func (e *env) keepsSecretsOutOfURLs() {
	if e.Provider == nil || e.Secrets == nil {
		return
	}
	for _, r := range e.Provider.Requests() {
		for _, s := range e.Secrets() {
			if len(s) >= 6 && strings.Contains(r.URI, s) {
				e.Errorf("a request has a secret in its URL: %s", r.Path)
			}
		}
	}
}

// secrets are what errors and logs must not tell, by now.
type secrets struct {
	mu   sync.Mutex
	seen []string
}

func (s *secrets) add(list ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, list...)
}

func (s *secrets) list() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// logged is what the upstream logged.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
