// SPDX-License-Identifier: Apache-2.0

package github

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// renewAhead is how long before its end a token is renewed: longer than a check
// takes.
const renewAhead = time.Minute

// NeedsToken implements upstream.Checker: GitHub tells about memberships only
// with the user's token.
func (g *GitHub) NeedsToken() bool { return true }

// Check implements upstream.Checker. It makes at most one token request and twice
// maxCalls API calls; nearly always three or four of the latter, which cost no
// quota while nothing changes.
//
// What GitHub says outright counts, silence does not. A token that is not good any
// more, a suspended account and another user's answer end it: ReasonRevoked. An
// organization, or a scope, that GitHub says it withholds from this token is
// ReasonSignInNeeded: the user is still in it as far as GitHub says, and only the
// user can make it tell. Somebody who was removed is not covered by that: GitHub
// names, by number, the organizations of the user's that it withholds, and answers
// 404 about others. Everything else holds, and a group is missing only if GitHub
// said so about its organization.
func (g *GitHub) Check(ctx context.Context, last identity.Identity, tok *upstream.Token, save func(*upstream.Token) error) (identity.Identity, error) {
	switch {
	case last.Upstream != g.name || last.Kind != identity.KindGitHub:
		return identity.Identity{}, upstream.Refuse(upstream.ReasonMisconfigured, "github: %s is not of this upstream", quote(last.Subject()))
	case tok == nil || !isHeaderSafe(tok.Access):
		return identity.Identity{}, upstream.Refuse(upstream.ReasonSignInNeeded, "github: no token is kept for this user")
	}
	if reset, spent := g.spent.has(last.ID, g.now()); spent {
		return identity.Identity{}, upstream.Refuse(upstream.ReasonUnavailable,
			"github: this user has no quota left until %s", reset.UTC().Format(time.RFC3339))
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	c := &check{g: g, session: g.newSession(tok.Access), last: last, token: tok, save: save}
	c.session.cached = true
	id, err := c.run(ctx)
	if err != nil {
		if e := answered(err); e != nil && !e.reset.IsZero() {
			g.spent.add(last.ID, e.reset, g.now())
		}
		return identity.Identity{}, c.refusal(err)
	}
	return id, nil
}

// check is one Check.
type check struct {
	g       *GitHub
	session *session
	last    identity.Identity
	token   *upstream.Token
	save    func(*upstream.Token) error
	renewed bool
}

func (c *check) run(ctx context.Context) (identity.Identity, error) {
	if c.token.ExpiresWithin(renewAhead, c.g.now()) {
		if err := c.renew(ctx); err != nil {
			return identity.Identity{}, err
		}
	}
	id, err := c.look(ctx)
	if hasKind(err, saysBadToken) && c.token.Refresh != "" && !c.renewed {
		// GitHub ends a token before its time where it has ten newer ones, and its
		// clock is not ours. The refresh token says whether that was all.
		if err := c.renew(ctx); err != nil {
			return identity.Identity{}, err
		}
		id, err = c.look(ctx)
	}
	return id, err
}

func (c *check) look(ctx context.Context) (identity.Identity, error) {
	f, err := c.g.load(ctx, c.session, scopesOf(c.token), &c.last)
	if err != nil {
		return identity.Identity{}, err
	}
	if err := c.g.confirmLosses(ctx, c.session, c.last.Groups, &f); err != nil {
		return identity.Identity{}, err
	}
	return f.identity, nil
}

// renew trades the refresh token and has the new one kept before it is used.
func (c *check) renew(ctx context.Context) error {
	c.renewed = true
	fresh, err := c.g.Refresh(ctx, c.token)
	if err != nil {
		return err
	}
	if err := c.save(fresh); err != nil {
		return upstream.Refuse(upstream.ReasonUnavailable, "github: the renewed token could not be kept: %w", err)
	}
	c.token, c.session.token = fresh, fresh.Access
	return nil
}

// refusal gives the reasons of a check to what a sign-in would call otherwise.
func (c *check) refusal(err error) error {
	r := refusalOf(err)
	switch {
	case r == nil:
		return upstream.Refuse(upstream.ReasonUnavailable, "github: %w", err)
	case hasKind(err, saysBadToken), hasKind(err, saysSuspended):
		return withReason(r, upstream.ReasonRevoked)
	case r.Reason == upstream.ReasonInsufficientScope && scopesOf(c.token).app:
		// Permissions of a GitHub App are the operator's, not the user's.
		return withReason(r, upstream.ReasonMisconfigured)
	case r.Reason == upstream.ReasonInsufficientScope:
		return withReason(r, upstream.ReasonSignInNeeded)
	}
	return r
}

func withReason(r *upstream.Refusal, reason upstream.Reason) *upstream.Refusal {
	changed := *r
	changed.Reason = reason
	return &changed
}

// errOtherUser is the cause where a token turns out to be somebody else's.
var errOtherUser = errors.New("github: the token kept for this account belongs to another user")

// wrongUser never merges two people. It cannot happen, so it is loud.
func (g *GitHub) wrongUser(ctx context.Context, want, got string) *upstream.Refusal {
	g.logger.ErrorContext(ctx, "github answers the token kept for one user with another one; the account is cut off, not merged",
		slog.String("github_user_id", want), slog.String("answered_user_id", got))
	return &upstream.Refusal{Reason: upstream.ReasonRevoked, Err: errOtherUser}
}
