// SPDX-License-Identifier: Apache-2.0

package github

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"golang.org/x/oauth2"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// appTokenPrefix marks user tokens of GitHub Apps. Those have permissions where
// tokens of OAuth apps have scopes, and an empty list of scopes.
const appTokenPrefix = "ghu_"

// accessToken is what the code was worth.
type accessToken struct {
	value  string
	scopes scopeSet
	// known is whether the answer said which scopes were granted.
	known bool
}

// exchange redeems the code (RFC 6749 §4.1.3, RFC 7636 §4.5).
func (g *GitHub) exchange(ctx context.Context, code, verifier, redirectURI string) (accessToken, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, g.client)
	t, err := g.oauth.Exchange(ctx, code,
		oauth2.VerifierOption(verifier),
		oauth2.SetAuthURLParam("redirect_uri", redirectURI))
	if err != nil {
		return accessToken{}, exchangeRefusal(err)
	}
	if !strings.EqualFold(t.TokenType, "bearer") {
		return accessToken{}, upstream.Refuse(upstream.ReasonUnavailable, "github: token of type %s, not bearer", quote(t.TokenType))
	}
	if !isHeaderSafe(t.AccessToken) {
		return accessToken{}, upstream.Refuse(upstream.ReasonUnavailable, "github: token has characters that cannot be sent")
	}
	scope, known := t.Extra("scope").(string)
	return accessToken{value: t.AccessToken, scopes: parseScopes(scope), known: known}, nil
}

// exchangeRefusal never passes on the text of an x/oauth2 error: for answers it
// cannot read that text is the whole body, and the body may hold the token.
func exchangeRefusal(err error) *upstream.Refusal {
	var answer *oauth2.RetrieveError
	if errors.As(err, &answer) {
		if answer.ErrorCode != "" {
			return upstream.Refuse(exchangeReason(answer.ErrorCode, answer.Response.StatusCode),
				"github: token request refused: %s", quote(answer.ErrorCode))
		}
		return upstream.Refuse(statusReason(answer.Response.StatusCode),
			"github: token request answered with %s", describe(answer.Response))
	}
	if cause := transportCause(err); cause != nil {
		return upstream.Refuse(upstream.ReasonUnavailable, "github: token request: %w", cause)
	}
	return upstream.Refuse(upstream.ReasonUnavailable, "github: token request answered with something that is no token")
}

// exchangeReason maps the error codes of the token endpoint, which GitHub sends
// with status 200.
func exchangeReason(code string, status int) upstream.Reason {
	switch code {
	case "bad_verification_code", "invalid_grant", "unverified_user_email":
		return upstream.ReasonInvalid
	case "access_denied":
		return upstream.ReasonDenied
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
