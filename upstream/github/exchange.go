// SPDX-License-Identifier: Apache-2.0

package github

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
func (g *GitHub) exchange(ctx context.Context, code, verifier, redirectURI string) (*upstream.Token, scopes, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, g.client)
	t, err := g.oauth.Exchange(ctx, code,
		oauth2.VerifierOption(verifier),
		oauth2.SetAuthURLParam("redirect_uri", redirectURI))
	if err != nil {
		return nil, scopes{}, g.tokenRefusal(err, exchangeReason)
	}
	tok, err := g.tokenOf(t)
	if err != nil {
		return nil, scopes{}, err
	}
	granted := scopesOf(tok)
	if _, said := t.Extra("scope").(string); said && granted.answer == nil {
		granted.answer = new(scopeSet) // said to be none, which is kept as unknown
	}
	return tok, granted, nil
}

// tokenOf takes over what a token request brought. Its error is a refusal that
// does not say the token.
func (g *GitHub) tokenOf(t *oauth2.Token) (*upstream.Token, error) {
	if !strings.EqualFold(t.TokenType, "bearer") {
		return nil, upstream.Refuse(upstream.ReasonUnavailable, "github: token of type %s, not bearer", quote(t.TokenType))
	}
	if !isHeaderSafe(t.AccessToken) || t.RefreshToken != "" && !isHeaderSafe(t.RefreshToken) {
		return nil, upstream.Refuse(upstream.ReasonUnavailable, "github: token has characters that cannot be sent")
	}
	tok := &upstream.Token{Access: t.AccessToken, Refresh: t.RefreshToken}
	if scope, ok := t.Extra("scope").(string); ok {
		tok.Scope = scope
	}
	if left := time.Until(t.Expiry); !t.Expiry.IsZero() && left > 0 {
		tok.Expiry = g.now().Add(left).Round(time.Second)
	}
	return tok, nil
}

// tokenRefusal never passes on the text of an x/oauth2 error: for answers it
// cannot read that text is the whole body, and the body may hold the token.
func (g *GitHub) tokenRefusal(err error, reasonOf func(code string, status int) upstream.Reason) *upstream.Refusal {
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) {
		if cause := transportCause(err); cause != nil {
			return upstream.Refuse(upstream.ReasonUnavailable, "github: token request: %w", cause)
		}
		return upstream.Refuse(upstream.ReasonUnavailable, "github: token request answered with something that is no token")
	}
	var r *upstream.Refusal
	if answer.ErrorCode != "" {
		r = upstream.Refuse(reasonOf(answer.ErrorCode, answer.Response.StatusCode),
			"github: token request refused: %s", quote(answer.ErrorCode))
	} else {
		r = upstream.Refuse(statusReason(answer.Response.StatusCode),
			"github: token request answered with %s", describe(answer.Response))
	}
	if r.Reason == upstream.ReasonUnavailable {
		r.RetryAfter = retryAfter(answer.Response.Header, g.now())
	}
	return r
}

// exchangeReason maps the error codes of the token endpoint, which GitHub sends
// with status 200.
func exchangeReason(code string, status int) upstream.Reason {
	switch code {
	case "bad_verification_code", "invalid_grant", "unverified_user_email":
		return upstream.ReasonInvalid
	case "access_denied":
		return upstream.ReasonDenied
	}
	return clientReason(code, status)
}

// clientReason is for codes that are about the app, not about the user.
func clientReason(code string, status int) upstream.Reason {
	switch code {
	case "incorrect_client_credentials", "redirect_uri_mismatch", "application_suspended",
		"unsupported_grant_type", "unauthorized_client", "invalid_client", "invalid_request", "invalid_scope":
		return upstream.ReasonMisconfigured
	}
	return statusReason(status)
}

// statusReason is for answers that have only a status. GitHub does not know the
// client id where it says 404.
func statusReason(status int) upstream.Reason {
	if status == http.StatusNotFound {
		return upstream.ReasonMisconfigured
	}
	return upstream.ReasonUnavailable
}
