// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// leeway is how far the provider's clock and ours may be apart.
const leeway = 2 * time.Minute

// idToken is what a verified id_token says.
type idToken struct {
	subject string
	nonce   string // may be empty
	claims  object
}

// verifyIDToken checks an id_token that came with an access token (OpenID Connect
// Core §3.1.3.7), all but the nonce. Every error is a *upstream.Refusal, for
// ReasonInvalid where the id_token itself is to blame.
func (o *OIDC) verifyIDToken(ctx context.Context, raw, access string) (*idToken, error) {
	const what = "the id_token"
	claims, algorithm, err := o.verify(ctx, what, raw)
	if err != nil {
		return nil, err
	}
	for _, err := range []error{
		o.checkIssuer(claims),
		o.checkAudience(claims),
		o.checkTimes(claims),
		checkAccessHash(claims, algorithm, access),
	} {
		if err != nil {
			return nil, upstream.Refuse(upstream.ReasonInvalid, "oidc: %s %w", what, err)
		}
	}
	t := &idToken{claims: claims}
	if t.subject, _ = claims.text("sub"); !isSubject(t.subject) {
		return nil, upstream.Refuse(upstream.ReasonInvalid, "oidc: %s has no usable sub", what)
	}
	t.nonce, _ = claims.text("nonce")
	return t, nil
}

func (o *OIDC) checkIssuer(claims object) error {
	if iss, _ := claims.text("iss"); !o.isIssuer(iss) {
		return fmt.Errorf("is from issuer %s, not from %s", quote(iss), o.issuer)
	}
	return nil
}

// checkAudience wants the token to be for this client, and to have been given to
// it: of several audiences each could pass it on to the others.
func (o *OIDC) checkAudience(claims object) error {
	audiences, ok := claims.texts("aud", maxAudiences)
	if !ok || !slices.Contains(audiences, o.clientID) {
		return errors.New("is for another client")
	}
	party, _ := claims.text("azp")
	switch {
	case claims.has("azp") && party != o.clientID:
		return errors.New("was given to another client (azp)")
	case len(audiences) > 1 && party == "":
		return errors.New("is for several audiences, and does not say to whom it was given (azp)")
	}
	return nil
}

func (o *OIDC) checkTimes(claims object) error {
	now := o.now()
	expires, ok := claims.time("exp")
	if !ok {
		return errors.New("does not say when it ends (exp)")
	}
	issued, ok := claims.time("iat")
	if !ok {
		return errors.New("does not say when it was issued (iat)")
	}
	switch {
	case !now.Add(-leeway).Before(expires):
		return errors.New("has expired; is the clock of this machine right?")
	case issued.After(now.Add(leeway)):
		return errors.New("was issued in the future; is the clock of this machine right?")
	}
	if !claims.has("nbf") {
		return nil
	}
	if begins, ok := claims.time("nbf"); !ok || begins.After(now.Add(leeway)) {
		return errors.New("is not valid yet (nbf); is the clock of this machine right?")
	}
	return nil
}

// checkAccessHash ties the access token to the id_token, where the provider does
// (OpenID Connect Core §3.1.3.6).
func checkAccessHash(claims object, algorithm, access string) error {
	if !claims.has("at_hash") {
		return nil
	}
	var half []byte
	if algorithm == "EdDSA" { // Ed25519 hashes with SHA-512
		sum := sha512.Sum512([]byte(access))
		half = sum[:sha512.Size/2]
	} else {
		sum := sha256.Sum256([]byte(access))
		half = sum[:sha256.Size/2]
	}
	if hash, _ := claims.text("at_hash"); hash != base64.RawURLEncoding.EncodeToString(half) {
		return errors.New("belongs to another access token (at_hash)")
	}
	return nil
}

// isOtherType reports types of JWT that say outright what they are for, as at+jwt
// and logout+jwt do.
func isOtherType(typ string) bool {
	return strings.HasSuffix(strings.ToLower(typ), "+jwt")
}

// claimsWithin reads an id_token of ours, which was verified when it came. It is
// empty if there is none.
func claimsWithin(jwt string) object {
	_, rest, _ := strings.Cut(jwt, ".")
	payload, _, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return nil
	}
	claims, err := parseObject(raw)
	if err != nil {
		return nil
	}
	return claims
}

func nonceWithin(jwt string) string {
	nonce, _ := claimsWithin(jwt).text("nonce")
	return nonce
}
