// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// exchange redeems the code (RFC 6749 §4.1.3, RFC 7636 §4.5).
func (o *OIDC) exchange(ctx context.Context, code, verifier, redirectURI string) (*upstream.Token, error) {
	m, err := o.discovery.get(ctx, discoveryFresh)
	if err != nil {
		return nil, err
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, o.client)
	t, err := o.oauth(m).Exchange(ctx, code,
		oauth2.VerifierOption(verifier),
		oauth2.SetAuthURLParam("redirect_uri", redirectURI))
	if err != nil {
		return nil, o.tokenRefusal(err, exchangeReason)
	}
	return o.readToken(t)
}

// renew exchanges the refresh token (RFC 6749 §6). The provider may make the old
// one worthless with its answer, so a caller who goes away does not take the answer
// with them. The result has the old refresh token, which is x/oauth2's doing, and the
// old id_token and scope if no new ones came; fresh is the new id_token.
func (o *OIDC) renew(ctx context.Context, old *upstream.Token) (t *upstream.Token, fresh string, err error) {
	m, err := o.discovery.get(ctx, discoveryFresh)
	if err != nil {
		return nil, "", err
	}
	if err := ctx.Err(); err != nil {
		return nil, "", upstream.Refuse(upstream.ReasonUnavailable, "oidc: not renewing the token: %w", err)
	}
	ctx = context.WithValue(context.WithoutCancel(ctx), oauth2.HTTPClient, o.client)
	answer, err := o.oauth(m).TokenSource(ctx, &oauth2.Token{RefreshToken: old.Refresh}).Token()
	if err != nil {
		return nil, "", o.tokenRefusal(err, renewReason)
	}
	t, err = o.readToken(answer)
	if err != nil {
		return nil, "", err
	}
	fresh = t.ID
	if t.ID = keepable(t.ID); t.ID == "" {
		t.ID = old.ID
	}
	if t.Scope == "" { // RFC 6749 §5.1: the same as before
		t.Scope = old.Scope
	}
	return t, fresh, nil
}

// maxKeptID bounds the id_token that is kept with the tokens, in bytes. It serves
// to compare the next one with, and nothing is missed without.
const maxKeptID = 16 << 10

func keepable(id string) string {
	if len(id) > maxKeptID {
		return ""
	}
	return id
}

// readToken reads a token answer (OpenID Connect Core §3.1.3.3).
func (o *OIDC) readToken(answer *oauth2.Token) (*upstream.Token, error) {
	if !strings.EqualFold(answer.TokenType, "bearer") {
		return nil, upstream.Refuse(upstream.ReasonUnavailable, "oidc: token of type %s, not bearer", quote(answer.TokenType))
	}
	if !isHeaderSafe(answer.AccessToken) {
		return nil, upstream.Refuse(upstream.ReasonUnavailable, "oidc: token has characters that cannot be sent")
	}
	t := &upstream.Token{Access: answer.AccessToken, Refresh: answer.RefreshToken}
	t.ID, _ = answer.Extra("id_token").(string)
	t.Scope, _ = answer.Extra("scope").(string)
	if answer.ExpiresIn > 0 {
		t.Expiry = o.now().Add(time.Duration(answer.ExpiresIn) * time.Second)
	}
	return t, nil
}

// tokenRefusal never passes on the text of an x/oauth2 error: for answers it cannot
// read that text is the whole body, and the body may hold a token.
func (o *OIDC) tokenRefusal(err error, reason func(code string) upstream.Reason) *upstream.Refusal {
	const what = "the token endpoint"
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) {
		if cause := transportCause(err); cause != nil {
			return upstream.Refuse(upstream.ReasonUnavailable, "oidc: %s: %w", what, cause)
		}
		return upstream.Refuse(upstream.ReasonUnavailable, "oidc: %s answered with something that is no token", what)
	}
	status := answer.Response.StatusCode
	busy := status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
	if answer.ErrorCode == "" || busy {
		why := upstream.ReasonUnavailable
		if status == http.StatusUnauthorized || status == http.StatusNotFound {
			why = upstream.ReasonMisconfigured // the client's credentials, or the endpoint
		}
		return o.statusRefusal(why, what, status, answer.Response.Header)
	}
	r := upstream.Refuse(reason(answer.ErrorCode), "oidc: %s refused: %s", what, quote(answer.ErrorCode))
	r.RetryAfter = retryAfter(answer.Response.Header, o.now())
	return r
}

// exchangeReason maps the error codes of RFC 6749 §5.2 for a code.
func exchangeReason(code string) upstream.Reason {
	switch code {
	case "invalid_grant":
		return upstream.ReasonInvalid
	case "access_denied":
		return upstream.ReasonDenied
	}
	return clientReason(code)
}

// renewReason maps them for a refresh token.
func renewReason(code string) upstream.Reason {
	switch code {
	case "invalid_grant", "access_denied": // the latter where a rule of the provider's says no
		return upstream.ReasonRevoked
	case "interaction_required", "login_required", "consent_required", "account_selection_required":
		return upstream.ReasonSignInNeeded
	}
	return clientReason(code)
}

func clientReason(code string) upstream.Reason {
	switch code {
	case "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_request", "invalid_scope", "redirect_uri_mismatch":
		return upstream.ReasonMisconfigured
	}
	return upstream.ReasonUnavailable
}
