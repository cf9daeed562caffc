// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/url"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// Identify implements upstream.Redirector. It redeems the code, checks the id_token
// and, where that does not tell everything, asks the userinfo endpoint.
func (o *OIDC) Identify(ctx context.Context, callback url.Values, verifier, redirectURI string) (*upstream.SignIn, error) {
	ctx, cancel := context.WithTimeout(ctx, signInTimeout)
	defer cancel()
	code, err := o.checkCallback(ctx, callback)
	if err != nil {
		return nil, err
	}
	token, err := o.exchange(ctx, code, verifier, redirectURI)
	if err != nil {
		return nil, err
	}
	if token.ID == "" {
		return nil, upstream.Refuse(upstream.ReasonMisconfigured,
			"oidc: the provider sent no id_token; is the client allowed the scope openid?")
	}
	id, err := o.verifyIDToken(ctx, token.ID, token.Access)
	if err != nil {
		return nil, err
	}
	// A code that was issued for another sign-in brings another nonce.
	if subtle.ConstantTimeCompare([]byte(id.nonce), []byte(nonceOf(verifier))) != 1 {
		return nil, upstream.Refuse(upstream.ReasonInvalid, "oidc: the id_token is not of this sign-in (nonce)")
	}
	known, err := o.learn(ctx, id, token.Access)
	if err != nil {
		return nil, err
	}
	known.note(ctx)
	token.ID = keepable(token.ID)
	return &upstream.SignIn{Identity: known.identity(id.subject), Token: token, Hints: known.hints()}, nil
}

// learn collects the facts about the user of a fresh id_token.
func (o *OIDC) learn(ctx context.Context, id *idToken, access string) (*facts, error) {
	known := o.facts(id.claims)
	m, err := o.discovery.get(ctx, discoveryFresh)
	if err != nil {
		return nil, err
	}
	if m.userinfoURL == "" || known.complete() {
		return known, nil
	}
	claims, err := o.userinfo(ctx, m.userinfoURL, access, id.subject)
	if errors.Is(err, errTokenRefused) || errors.Is(err, errForbidden) {
		// Not being allowed to hear more is knowing less. Entra does this where the
		// token is for another API than its own.
		o.logger.WarnContext(ctx, "the userinfo endpoint refused the token; only the id_token counts", slog.Any("error", err))
		return known, nil
	}
	if err != nil {
		return nil, err
	}
	return o.facts(id.claims, claims), nil
}
