// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

const (
	// expirySlack is how long before its end an access token is not used any more.
	expirySlack = 30 * time.Second
	// tokenFresh is how old a token may be that is not renewed before a check.
	tokenFresh = 2 * time.Minute
)

// errNotSaid: what the last sign-in told is not said without a new id_token.
var errNotSaid = errors.New("the provider says in the id_token what it says nowhere else")

// NeedsToken implements upstream.Checker: a provider talks about a user only to who
// has the user's token.
func (o *OIDC) NeedsToken() bool { return true }

// Check implements upstream.Checker. It renews the token, which a provider does only
// for users it still has, and collects the facts of now from the new id_token and
// the userinfo endpoint. A token that was given a moment ago is not renewed for
// nothing.
func (o *OIDC) Check(ctx context.Context, last identity.Identity, tok *upstream.Token, save func(*upstream.Token) error) (identity.Identity, error) {
	switch {
	case tok == nil || tok.Refresh == "" && !o.usable(tok):
		return identity.Identity{}, upstream.Refuse(upstream.ReasonSignInNeeded, "oidc: there is no token with which to ask")
	case o.isForeign(tok.ID):
		return identity.Identity{}, o.foreign()
	}
	ctx, cancel := context.WithTimeout(ctx, signInTimeout)
	defer cancel()
	if tok.Refresh != "" && !(o.usable(tok) && o.isFresh(tok)) {
		return o.lookAnew(ctx, last, tok, save)
	}
	now, err := o.look(ctx, last, nil, tok)
	if tok.Refresh != "" && (errors.Is(err, errTokenRefused) || errors.Is(err, errForbidden) || errors.Is(err, errNotSaid)) {
		return o.lookAnew(ctx, last, tok, save)
	}
	return now, err
}

func (o *OIDC) usable(tok *upstream.Token) bool {
	return isHeaderSafe(tok.Access) && !tok.ExpiresWithin(expirySlack, o.now())
}

// isFresh reports that the provider gave the token a moment ago, as far as the
// id_token tells that came with it.
func (o *OIDC) isFresh(tok *upstream.Token) bool {
	issued, ok := claimsWithin(tok.ID).time("iat")
	age := o.now().Sub(issued)
	return ok && age > -leeway && age < tokenFresh
}

// isForeign reports that a token came with an id_token for another client, or from
// another provider: the configuration was changed, and keeps the name. Where none is
// kept, nothing tells.
func (o *OIDC) isForeign(jwt string) bool {
	claims := claimsWithin(jwt)
	if claims == nil {
		return false
	}
	iss, _ := claims.text("iss")
	audiences, _ := claims.texts("aud", maxAudiences)
	return !o.isIssuer(iss) || !slices.Contains(audiences, o.clientID)
}

// foreign is the refusal for it. To show the token to whoever has the name now would
// give it away; and what they say of it says nothing about the user.
func (o *OIDC) foreign() *upstream.Refusal {
	return upstream.Refuse(upstream.ReasonSignInNeeded, "oidc: the token was given to another client, or by another provider")
}

// lookAnew renews the token and looks with the new one.
func (o *OIDC) lookAnew(ctx context.Context, last identity.Identity, tok *upstream.Token, save func(*upstream.Token) error) (identity.Identity, error) {
	newest, fresh, err := o.renew(ctx, tok)
	if err != nil {
		return identity.Identity{}, err
	}
	if o.isForeign(newest.ID) { // by mistake; what it says is refused below
		newest.ID = tok.ID
	}
	if err := save(newest); err != nil {
		return identity.Identity{}, upstream.Refuse(upstream.ReasonUnavailable, "oidc: keeping the renewed token: %w", err)
	}
	id, err := o.checkRenewed(ctx, fresh, newest.Access, last.ID, nonceWithin(tok.ID))
	if err != nil {
		return identity.Identity{}, err
	}
	return o.look(ctx, last, id, newest)
}

// look collects the facts of now. id is nil if the provider sent no id_token.
func (o *OIDC) look(ctx context.Context, last identity.Identity, id *idToken, tok *upstream.Token) (identity.Identity, error) {
	m, err := o.discovery.get(ctx, discoveryFresh)
	if err != nil {
		return identity.Identity{}, err
	}
	var fromToken, fromUserinfo object
	if id != nil {
		fromToken = id.claims
	}
	var refused error
	if m.userinfoURL != "" {
		fromUserinfo, err = o.userinfo(ctx, m.userinfoURL, tok.Access, last.ID)
		if refused, err = sortRefusal(err, id != nil, tok); err != nil {
			return identity.Identity{}, err
		}
	}
	known := o.facts(fromToken, fromUserinfo)
	switch {
	case refused != nil && lacks(known, last):
		return identity.Identity{}, upstream.Refuse(upstream.ReasonUnavailable, "%w, though it took the one of before", refused)
	case id == nil && lacks(known, last):
		return identity.Identity{}, upstream.Refuse(upstream.ReasonSignInNeeded, "oidc: %w, and sent none", errNotSaid)
	}
	known.note(ctx)
	now := known.identity(last.ID)
	if id == nil { // names are for show, and the last ones do
		now.Login = orElse(known.first("preferred_username"), orElse(last.Login, now.Login))
		now.Name = orElse(now.Name, last.Name)
	}
	return now, nil
}

// sortRefusal says what an error of the userinfo endpoint means for a check. With a
// fresh id_token, which vouches for the user, being refused means as little as it
// does at a sign-in: it is returned apart.
func sortRefusal(err error, vouched bool, tok *upstream.Token) (refused, failure error) {
	switch {
	case errors.Is(err, errOtherSubject):
		return nil, &upstream.Refusal{Reason: upstream.ReasonRevoked, Err: errors.Unwrap(err)}
	case vouched && (errors.Is(err, errTokenRefused) || errors.Is(err, errForbidden)):
		return errors.Unwrap(err), nil
	case errors.Is(err, errTokenRefused):
		reason := upstream.ReasonRevoked
		if tok.Refresh == "" && tok.Expiry.IsZero() {
			reason = upstream.ReasonSignInNeeded // it may simply have ended
		}
		return nil, &upstream.Refusal{Reason: reason, Err: errors.Unwrap(err)}
	}
	return nil, err
}

// lacks reports that the last sign-in told something that now cannot be asked for.
// That somebody left a group is one thing, that nobody talks about groups another.
func lacks(known *facts, last identity.Identity) bool {
	address, _ := known.address()
	return len(last.Groups) > 0 && known.groups().state == groupsMissing ||
		last.Email != "" && address == "" ||
		last.EmailVerified && !known.hasAddress()
}

// checkRenewed verifies the id_token that came with a renewed token, if one did
// (OpenID Connect Core §12.2). It is about the user the old one was about: subject
// and nonce are those of then. A nonce may be left out.
func (o *OIDC) checkRenewed(ctx context.Context, fresh, access, subject, nonce string) (*idToken, error) {
	if fresh == "" {
		return nil, nil
	}
	id, err := o.verifyIDToken(ctx, fresh, access)
	if err != nil {
		return nil, unproven(err)
	}
	if subject != "" && id.subject != subject {
		return nil, upstream.Refuse(upstream.ReasonRevoked, "oidc: the renewed id_token is about another user")
	}
	if id.nonce != "" && nonce != "" && id.nonce != nonce {
		return nil, upstream.Refuse(upstream.ReasonUnavailable, "oidc: the renewed id_token is of another sign-in (nonce)")
	}
	return id, nil
}

// Refresh implements upstream.Refresher. The old refresh token may be worthless when
// the answer is there, so nothing but another user's token keeps it from the caller:
// an id_token that cannot be verified is left out.
func (o *OIDC) Refresh(ctx context.Context, tok *upstream.Token) (*upstream.Token, error) {
	switch {
	case tok == nil || tok.Refresh == "":
		return nil, upstream.Refuse(upstream.ReasonSignInNeeded, "oidc: there is no refresh token")
	case o.isForeign(tok.ID):
		return nil, o.foreign()
	}
	newest, fresh, err := o.renew(ctx, tok)
	if err != nil {
		return nil, err
	}
	subject, _ := claimsWithin(tok.ID).text("sub")
	_, err = o.checkRenewed(ctx, fresh, newest.Access, subject, nonceWithin(tok.ID))
	var r *upstream.Refusal
	switch {
	case errors.As(err, &r) && r.Reason == upstream.ReasonRevoked:
		return nil, err
	case err != nil:
		newest.ID = tok.ID
	}
	return newest, nil
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
