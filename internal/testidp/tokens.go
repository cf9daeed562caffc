// SPDX-License-Identifier: Apache-2.0

package testidp

import (
	"slices"
	"time"
)

const (
	// maxTokens is how many tokens GitHub keeps per user, app and set of scopes.
	maxTokens = 10
	// accessLifetime and refreshLifetime are those of a GitHub App's user tokens.
	accessLifetime  = 8 * time.Hour
	refreshLifetime = 15811200 * time.Second
	// protected is how long a token that was never used is spared.
	protected = time.Minute
)

// token is an access token that was not revoked, though it may have ended.
type token struct {
	value   string
	user    int64
	scopes  []string
	created time.Time
	lastUse int       // position among all uses; zero: never
	ends    time.Time // zero: never
	// refresh is empty where tokens do not end.
	refresh     string
	refreshEnds time.Time
}

func (t *token) ended(now time.Time) bool { return !t.ends.IsZero() && !now.Before(t.ends) }

// issue adds a token, at the cost of another one where there are ten. The caller
// holds mu.
func (g *GitHub) issue(user int64, scopes []string) *token {
	now := g.cfg.Now()
	t := &token{value: "gho_" + randomHex(18), user: user, scopes: scopes, created: now}
	if g.cfg.App {
		t.value, t.scopes = "ghu_"+randomHex(18), nil
	}
	if g.cfg.App && !g.cfg.KeepTokens {
		t.ends = now.Add(accessLifetime)
		t.refresh, t.refreshEnds = "ghr_"+randomHex(38), now.Add(refreshLifetime)
	}
	var same []*token
	for _, o := range g.tokens {
		if o.user == user && slices.Equal(o.scopes, t.scopes) {
			same = append(same, o)
		}
	}
	if len(same) >= maxTokens {
		victim := surplus(same, now)
		g.dropTokens(func(o *token) bool { return o == victim })
	}
	g.tokens = append(g.tokens, t)
	return t
}

// surplus is the one of ten tokens that GitHub revokes for an eleventh: the oldest
// that was never used, if it has had a minute for that; else the one that was not
// used for longest; else the oldest.
func surplus(same []*token, now time.Time) *token {
	var unused, idle *token
	for _, t := range same {
		switch {
		case t.lastUse == 0:
			if unused == nil && now.Sub(t.created) > protected {
				unused = t
			}
		case idle == nil || t.lastUse < idle.lastUse:
			idle = t
		}
	}
	switch {
	case unused != nil:
		return unused
	case idle != nil:
		return idle
	}
	return same[0]
}

func (g *GitHub) dropTokens(gone func(*token) bool) {
	g.tokens = slices.DeleteFunc(g.tokens, gone)
}

// IssueToken gives a user a token without the web flow.
func (g *GitHub) IssueToken(user int64, scopes ...string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.issue(user, normalizeScopes(scopes)).value
}

// Tokens are the access tokens of a user that were not revoked, oldest first.
func (g *GitHub) Tokens(user int64) []string {
	return g.values(user, func(t *token) string { return t.value })
}

// RefreshTokens are the refresh tokens of a user, oldest first.
func (g *GitHub) RefreshTokens(user int64) []string {
	return g.values(user, func(t *token) string { return t.refresh })
}

func (g *GitHub) values(user int64, of func(*token) string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var values []string
	for _, t := range g.tokens {
		if v := of(t); t.user == user && v != "" {
			values = append(values, v)
		}
	}
	return values
}

// RevokeToken kills one token, and the refresh token that came with it.
func (g *GitHub) RevokeToken(value string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dropTokens(func(t *token) bool { return t.value == value })
}

// RevokeTokens is the user revoking the app in GitHub's settings: all tokens
// die, and consent is asked for again.
func (g *GitHub) RevokeTokens(user int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dropTokens(func(t *token) bool { return t.user == user })
	for a := range g.approved {
		if a.user == user {
			delete(g.approved, a)
		}
	}
}

// ExpireTokens lets eight hours pass for a user's access tokens. Their refresh
// tokens stay.
func (g *GitHub) ExpireTokens(user int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range g.tokens {
		if t.user == user {
			t.ends = g.cfg.Now()
		}
	}
}

// NarrowTokens leaves a user's tokens only these scopes.
func (g *GitHub) NarrowTokens(user int64, scopes ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range g.tokens {
		if t.user == user {
			t.scopes = normalizeScopes(scopes)
		}
	}
}
