// SPDX-License-Identifier: Apache-2.0

// Package assertion verifies the identity assertion that caddy-mcp-oauth sends to the
// MCP servers behind it. Copy it: it needs go-jose and nothing else.
package assertion

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	// Header is where the assertion is.
	Header = "X-Mcp-Jwt-Assertion"
	// Type is its typ. No access token and no ID token has it.
	Type = "mcp-identity+jwt"
	// leeway is how much the clocks of gateway and backend may differ.
	leeway = time.Minute
)

// ErrInvalid says that an assertion must not be trusted. The causes wrapped in it are
// for the log and not for the caller. Every other error means that the keys could not
// be fetched, so that nothing is known: answer 503.
var ErrInvalid = errors.New("the identity assertion is not valid")

// Claims say who calls.
type Claims struct {
	// Subject is who it is, for ever: keep data under it.
	Subject string `json:"sub"`
	// Username and Email may change, and may belong to somebody else later.
	Username string   `json:"preferred_username"`
	Email    string   `json:"email"`
	Groups   []string `json:"groups"`
	// GroupsTruncated: there are more groups than were sent.
	GroupsTruncated bool   `json:"groups_truncated"`
	ClientID        string `json:"client_id"`
	Scope           string `json:"scope"`
}

// Verifier checks assertions of one gateway for one MCP server.
type Verifier struct {
	issuer, resource string
	keys             *keys
}

// NewVerifier returns one. issuer is the origin of the gateway's site, resource the URL
// by which clients know this server, jwksURL where the keys are: issuer + "/jwks" as
// seen from here.
func NewVerifier(issuer, resource, jwksURL string) *Verifier {
	return &Verifier{issuer: issuer, resource: resource, keys: newKeys(jwksURL)}
}

// Verify returns what the assertion says, or an error: ErrInvalid, or that of fetching
// the keys.
func (v *Verifier) Verify(ctx context.Context, compact string) (*Claims, error) {
	// The list of algorithms is what keeps "none", and the public key as an HMAC secret,
	// from being accepted.
	token, err := jwt.ParseSigned(compact, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	header := token.Headers[0]
	if typ, _ := header.ExtraHeaders[jose.HeaderType].(string); typ != Type {
		return nil, fmt.Errorf("%w: typ %q", ErrInvalid, typ)
	}
	key, err := v.keys.find(ctx, header.KeyID)
	if err != nil {
		return nil, err
	}
	var registered jwt.Claims
	var claims Claims
	if err := token.Claims(key, &registered, &claims); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	// Validate passes over claims that are not there.
	if registered.Expiry == nil || registered.IssuedAt == nil || registered.Subject == "" {
		return nil, fmt.Errorf("%w: a claim is missing", ErrInvalid)
	}
	err = registered.ValidateWithLeeway(jwt.Expected{
		Issuer: v.issuer, AnyAudience: jwt.Audience{v.resource}, Time: time.Now(),
	}, leeway)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return &claims, nil
}
