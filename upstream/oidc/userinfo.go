// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"slices"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

var (
	// errTokenRefused: the userinfo endpoint does not take the access token.
	errTokenRefused = errors.New("the userinfo endpoint refuses the access token")
	// errForbidden: it takes the token, but tells nothing about the user for it.
	errForbidden = errors.New("the userinfo endpoint wants another scope")
	// errOtherSubject: it talks about somebody else.
	errOtherSubject = errors.New("the userinfo endpoint is about another user")
)

// userinfo asks the provider about a user (OpenID Connect Core §5.3). Every error
// is a *upstream.Refusal, around one of the above or for ReasonUnavailable.
func (o *OIDC) userinfo(ctx context.Context, address, access, subject string) (object, error) {
	const what = "the userinfo endpoint"
	d, err := o.get(ctx, what, address, access)
	switch {
	case err != nil:
		return nil, err
	case d.status == http.StatusUnauthorized:
		return nil, upstream.Refuse(upstream.ReasonInvalid, "oidc: %w", errTokenRefused)
	case d.status == http.StatusForbidden:
		return nil, upstream.Refuse(upstream.ReasonInsufficientScope, "oidc: %w", errForbidden)
	case d.status != http.StatusOK:
		return nil, o.refuse(what, d)
	}
	claims, err := o.readUserinfo(ctx, d)
	if err != nil {
		return nil, err
	}
	// §5.3.2: without this, a token that belongs to somebody else brings their name
	// and groups.
	switch sub, ok := claims.text("sub"); {
	case !ok:
		return nil, upstream.Refuse(upstream.ReasonUnavailable, "oidc: the userinfo does not say who it is about")
	case sub != subject:
		return nil, upstream.Refuse(upstream.ReasonInvalid, "oidc: %w", errOtherSubject)
	}
	return claims, nil
}

// readUserinfo reads the answer, which a provider may sign.
func (o *OIDC) readUserinfo(ctx context.Context, d document) (object, error) {
	mediaType, _, _ := mime.ParseMediaType(d.header.Get("Content-Type"))
	switch mediaType {
	case "application/json":
		claims, err := parseObject(d.body)
		if err != nil {
			return nil, upstream.Refuse(upstream.ReasonUnavailable, "oidc: the userinfo: %w", err)
		}
		return claims, nil
	case "application/jwt":
		return o.readSignedUserinfo(ctx, string(d.body))
	}
	return nil, upstream.Refuse(upstream.ReasonUnavailable, "oidc: the userinfo endpoint answered with %s, not JSON",
		quote(d.header.Get("Content-Type")))
}

func (o *OIDC) readSignedUserinfo(ctx context.Context, jwt string) (object, error) {
	claims, _, err := o.verify(ctx, "the userinfo", jwt)
	if err != nil {
		return nil, unproven(err)
	}
	iss, _ := claims.text("iss")
	audiences, _ := claims.texts("aud", maxAudiences)
	if !o.isIssuer(iss) || !slices.Contains(audiences, o.clientID) {
		return nil, upstream.Refuse(upstream.ReasonUnavailable, "oidc: the userinfo is from another issuer, or for another client")
	}
	return claims, nil
}

// unproven makes a refusal of what the provider sent one that says nothing about
// the user.
func unproven(err error) error {
	var r *upstream.Refusal
	if errors.As(err, &r) && r.Reason == upstream.ReasonInvalid {
		return &upstream.Refusal{Reason: upstream.ReasonUnavailable, Err: r.Err, RetryAfter: r.RetryAfter}
	}
	return err
}
