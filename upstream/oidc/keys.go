// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/keyset"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

const (
	// keysFresh is how old the keys may be: as long as that, one that the provider
	// took back is believed.
	keysFresh = time.Hour
	// keysAddressFresh is how old the address may be that keys are fetched from.
	keysAddressFresh = 5 * time.Minute
	// maxJWT bounds an id_token in bytes. One with two hundred groups has about a
	// tenth of it.
	maxJWT = 128 << 10
)

// fetchKeys gets the provider's keys. Every error is a *upstream.Refusal. Package
// keyset bounds their number and leaves out what is not for signatures.
func (o *OIDC) fetchKeys(ctx context.Context) (*keyset.Set, error) {
	const what = "the key set"
	m, err := o.discovery.get(ctx, keysAddressFresh)
	if err != nil {
		return nil, err
	}
	d, err := o.get(ctx, what, m.keysURL, "")
	if err != nil {
		return nil, err
	}
	if d.status != http.StatusOK {
		return nil, o.refuse(what, d)
	}
	set, err := keyset.Parse(d.body)
	if err != nil {
		return nil, upstream.Refuse(upstream.ReasonUnavailable, "oidc: %s: %w", what, err)
	}
	return set, nil
}

// verify returns the claims of a JWT that the provider signed, and the algorithm.
// what names the JWT in errors, each of which is a *upstream.Refusal: for
// ReasonInvalid because of the JWT, for others because of the provider.
func (o *OIDC) verify(ctx context.Context, what, jwt string) (object, string, error) {
	m, err := o.discovery.get(ctx, discoveryFresh)
	if err != nil {
		return nil, "", err
	}
	algorithm, err := checkHeader(what, jwt, m.algorithms)
	if err != nil {
		return nil, "", err
	}
	payload, err := o.checkSignature(ctx, what, jwt, algorithm)
	if err != nil {
		return nil, "", err
	}
	claims, err := parseObject(payload)
	if err != nil {
		return nil, "", upstream.Refuse(upstream.ReasonInvalid, "oidc: %s: %w", what, err)
	}
	return claims, algorithm, nil
}

// checkHeader looks at a JWT from the outside: nothing of it is believed yet.
func checkHeader(what, jwt string, allowed []string) (algorithm string, err error) {
	if len(jwt) > maxJWT {
		return "", upstream.Refuse(upstream.ReasonInvalid, "oidc: %s is longer than %d bytes", what, maxJWT)
	}
	list := make([]jose.SignatureAlgorithm, len(allowed))
	for i, a := range allowed {
		list[i] = jose.SignatureAlgorithm(a)
	}
	jws, err := jose.ParseSignedCompact(jwt, list)
	if other := new(jose.ErrUnexpectedSignatureAlgorithm); errors.As(err, &other) {
		return "", upstream.Refuse(upstream.ReasonMisconfigured, "oidc: %s is signed with %s, which is not accepted; choose one of %v at the provider",
			what, quote(string(other.Got)), allowed)
	}
	if err != nil || len(jws.Signatures) != 1 {
		return "", upstream.Refuse(upstream.ReasonInvalid, "oidc: %s is not a signed JWT", what)
	}
	header := jws.Signatures[0].Protected
	// RFC 8725 §3.11: an access token or a logout token of the same provider is no
	// id_token, whatever it says inside.
	if typ, ok := header.ExtraHeaders[jose.HeaderType].(string); ok && isOtherType(typ) {
		return "", upstream.Refuse(upstream.ReasonInvalid, "oidc: %s is a JWT of type %s", what, quote(typ))
	}
	return header.Algorithm, nil
}

// checkSignature tries the keys that are known, and if none fits newer ones, as
// far as the provider may be asked for them.
func (o *OIDC) checkSignature(ctx context.Context, what, jwt, algorithm string) ([]byte, error) {
	keys, err := o.keys.get(ctx, keysFresh)
	if err != nil {
		return nil, err
	}
	payload, failure := keys.Verify(jwt, []string{algorithm})
	if failure == nil {
		return payload, nil
	}
	// OpenID Connect Core §10.1.1: a key that is not known is a reason to look again.
	newer, err := o.keys.newer(ctx, keys)
	if err == nil {
		payload, failure = newer.Verify(jwt, []string{algorithm})
	}
	switch {
	case failure == nil:
		return payload, nil
	case err != nil && errors.Is(failure, keyset.ErrUnknownKey):
		// The key may be there, for all we know.
		return nil, err
	case errors.Is(failure, keyset.ErrUnknownKey):
		return nil, upstream.Refuse(upstream.ReasonInvalid, "oidc: %s is not signed with any of the provider's keys", what)
	}
	return nil, upstream.Refuse(upstream.ReasonInvalid, "oidc: the signature of %s is wrong", what)
}
