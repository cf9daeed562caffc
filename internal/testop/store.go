// SPDX-License-Identifier: Apache-2.0

package testop

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// session is what tokens stand for. It implements op.RefreshTokenRequest.
type session struct {
	subject, clientID string
	scopes            []string
	signedIn          time.Time
	expires           time.Time // of an access token
}

var _ op.RefreshTokenRequest = (*session)(nil)

func (s *session) GetAMR() []string             { return []string{"pwd"} }
func (s *session) GetAudience() []string        { return []string{s.clientID} }
func (s *session) GetAuthTime() time.Time       { return s.signedIn }
func (s *session) GetClientID() string          { return s.clientID }
func (s *session) GetScopes() []string          { return s.scopes }
func (s *session) GetSubject() string           { return s.subject }
func (s *session) SetCurrentScopes(to []string) { s.scopes = to }

// store implements op.Storage in memory.
type store struct{ p *Provider }

var (
	_ op.Storage                   = (*store)(nil)
	_ op.CanSetUserinfoFromRequest = (*store)(nil)
)

var errNotFound = errors.New("not found")

func (s *store) Health(context.Context) error { return nil }

func (s *store) CreateAuthRequest(_ context.Context, r *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	if slices.Equal(r.Prompt, []string{oidc.PromptNone}) {
		return nil, oidc.ErrLoginRequired()
	}
	l := &login{id: rand.Text(), request: *r}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.logins[l.id] = l
	return l, nil
}

func (s *store) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	l, ok := s.p.logins[id]
	if !ok {
		return nil, errNotFound
	}
	return l, nil
}

func (s *store) AuthRequestByCode(ctx context.Context, code string) (op.AuthRequest, error) {
	s.p.mu.Lock()
	id, ok := s.p.codes[code]
	delete(s.p.codes, code) // a code works once, also if the rest of the request is wrong
	s.p.mu.Unlock()
	if !ok {
		return nil, errNotFound
	}
	return s.AuthRequestByID(ctx, id)
}

func (s *store) SaveAuthCode(_ context.Context, id, code string) error {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.codes[code] = id
	return nil
}

func (s *store) DeleteAuthRequest(_ context.Context, id string) error {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	delete(s.p.logins, id)
	return nil
}

func (s *store) CreateAccessToken(_ context.Context, r op.TokenRequest) (string, time.Time, error) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	id, expires := s.p.issue(sessionOf(r))
	return id, expires, nil
}

func (s *store) CreateAccessAndRefreshTokens(_ context.Context, r op.TokenRequest, current string) (access, refresh string, expires time.Time, err error) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	granted := sessionOf(r)
	access, expires = s.p.issue(granted)
	if current != "" && s.p.cfg.Reusable {
		return access, current, expires, nil
	}
	if current != "" {
		delete(s.p.refresh, current)
		s.p.replaced[current] = granted
	}
	refresh = rand.Text() + rand.Text()
	s.p.refresh[refresh] = granted
	return access, refresh, expires, nil
}

func (p *Provider) issue(granted *session) (id string, expires time.Time) {
	s := *granted
	s.expires = time.Now().Add(p.cfg.AccessTTL)
	id = rand.Text()
	p.access[id] = &s
	return id, s.expires
}

func sessionOf(r op.TokenRequest) *session {
	switch r := r.(type) {
	case *login:
		return &session{subject: r.subject, clientID: r.request.ClientID, scopes: r.request.Scopes, signedIn: r.signedIn}
	case *session:
		return r
	}
	panic("a request that this provider does not have")
}

// TokenRequestByRefreshToken kills the whole family where a refresh token comes
// twice (RFC 9700 §4.14.2), as providers that rotate do.
func (s *store) TokenRequestByRefreshToken(_ context.Context, token string) (op.RefreshTokenRequest, error) {
	s.p.mu.Lock()
	if granted, ok := s.p.refresh[token]; ok {
		defer s.p.mu.Unlock()
		copied := *granted
		return &copied, nil
	}
	reused, ok := s.p.replaced[token]
	s.p.mu.Unlock()
	if ok {
		s.p.SignOut(reused.subject)
	}
	return nil, errNotFound
}

func (s *store) TerminateSession(context.Context, string, string) error { return nil }

func (s *store) RevokeToken(_ context.Context, token, _, _ string) *oidc.Error {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	delete(s.p.access, token)
	delete(s.p.refresh, token)
	return nil
}

func (s *store) GetRefreshTokenInfo(_ context.Context, _, token string) (userID, tokenID string, err error) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if granted, ok := s.p.refresh[token]; ok {
		return granted.subject, token, nil
	}
	return "", "", op.ErrInvalidRefreshToken
}

func (s *store) SigningKey(context.Context) (op.SigningKey, error) { return s.p.currentKey(), nil }

func (s *store) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.RS256, jose.ES256}, nil
}

func (s *store) KeySet(context.Context) ([]op.Key, error) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	var keys []op.Key
	for _, k := range s.p.keys {
		keys = append(keys, publicKey{k})
	}
	return keys, nil
}

func (s *store) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	if cfg := s.p.config(); cfg.ClientID == id {
		return client{cfg}, nil
	}
	return nil, errNotFound
}

func (s *store) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	if cfg := s.p.config(); cfg.ClientID != id || cfg.ClientSecret != secret {
		return errNotFound
	}
	return nil
}

func (s *store) GetKeyByIDAndClientID(context.Context, string, string) (*jose.JSONWebKey, error) {
	return nil, errNotFound
}

func (s *store) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errNotFound
}
