// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// Lives of a browser session (M-32). Only authorizing something counts as using
// it: a page that another site made the browser open does not keep it alive.
const (
	sessionLife = 8 * time.Hour
	sessionIdle = time.Hour
)

// signedIn is who signed in in this browser. The facts are those of the account's
// last check, which may be newer than the session.
type signedIn struct {
	session  storage.Hash
	identity identity.Identity
	upstream upstream.Upstream
	account  *storage.Account
}

// name is what the person recognises themselves by.
func (p *signedIn) name() string { return orElse(p.identity.Login, p.identity.ID) }

// sessionSecret is the session cookie's value, or "" where it cannot be ours.
func (s *Server) sessionSecret(r *http.Request) string {
	if secret := s.cookies.get(r, cookieSignIn); len(secret) >= minCookieSecret {
		return secret
	}
	return ""
}

// whoIsSignedIn returns nil for nobody: no session, one that is over, or one whose
// account or upstream this gateway no longer has. The account was checked lately
// enough for a code to be given; where it could not be, and for too long, nobody is
// signed in, and signing in shows why.
func (s *Server) whoIsSignedIn(r *http.Request) (*signedIn, error) {
	return s.sessionOwner(r, func(ctx context.Context, subject string) (*storage.Account, error) {
		a, err := s.st.currentAccount(ctx, subject)
		if refused := (refusedToken{}); errors.As(err, &refused) || errors.Is(err, errUpstreamOutage) {
			return nil, storage.ErrNotFound
		}
		return a, err
	})
}

// whoseSession is whoIsSignedIn without a look at the provider: nothing is given to
// the person.
func (s *Server) whoseSession(r *http.Request) (*signedIn, error) {
	return s.sessionOwner(r, s.st.store.Account)
}

func (s *Server) sessionOwner(
	r *http.Request, account func(context.Context, string) (*storage.Account, error),
) (*signedIn, error) {
	secret := s.sessionSecret(r)
	if secret == "" {
		return nil, nil
	}
	session, err := s.st.store.Session(r.Context(), s.cfg.Issuer, token.Hash(secret))
	if err != nil {
		return nil, unlessNotFound("read session", err)
	}
	a, err := account(r.Context(), session.Subject)
	if err != nil {
		return nil, unlessNotFound("read account", err)
	}
	up := s.upstreams[a.Identity.Upstream]
	if up == nil || up.Kind() != a.Identity.Kind || a.Identity.Subject() != session.Subject {
		return nil, nil
	}
	return &signedIn{session: session.ID, identity: a.Identity, upstream: up, account: a}, nil
}

// mayGoOn reports whether who is signed in can get a code for the resource without
// going upstream: a resource that forwards tokens needs one.
func (s *Server) mayGoOn(resource string, who *signedIn) bool {
	return !s.forwards(resource) || s.st.canForward(who.account)
}

// useSession moves the idle end. It is false if the session ended since it was
// read, by a sign-out in another tab for example: then it was not used.
func (s *Server) useSession(ctx context.Context, who *signedIn) (bool, error) {
	err := s.st.store.TouchSession(ctx, s.cfg.Issuer, who.session, sessionIdle)
	if err != nil {
		return false, unlessNotFound("touch session", err)
	}
	return true, nil
}

// startSession signs the browser in. The secret is always a new one, and the
// session before it ends, so that nobody is signed in by a cookie that was there
// before they signed in (session fixation), or stays signed in by an old copy.
func (s *Server) startSession(w http.ResponseWriter, r *http.Request, id identity.Identity) error {
	secret, now := token.NewSecret(), s.st.now()
	err := s.st.store.CreateSession(r.Context(), &storage.Session{
		Issuer: s.cfg.Issuer, ID: token.Hash(secret), Subject: id.Subject(), Identity: id,
		CreatedAt: now, IdleAt: now.Add(sessionIdle), ExpiresAt: now.Add(sessionLife),
	})
	if err != nil {
		return fmt.Errorf("create session: %w", err)
	}
	if old := s.sessionSecret(r); old != "" {
		if err := s.st.store.DeleteSession(r.Context(), s.cfg.Issuer, token.Hash(old)); err != nil {
			return fmt.Errorf("delete session: %w", err)
		}
	}
	// Until the browser closes: the ends above are the store's to keep.
	s.cookies.set(w, cookieSignIn, secret, 0)
	return nil
}

// unlessNotFound is for reads where a missing record is an answer.
func unlessNotFound(verb string, err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return fmt.Errorf("%s: %w", verb, err)
}
