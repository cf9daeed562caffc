// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// assertionType is the typ of the header. One of our own keeps an assertion from
// being taken for an access token or an ID token (RFC 8725 §3.11).
const assertionType = "mcp-identity+jwt"

// Times of an assertion. It is signed anew after four minutes, which leaves backends
// one, and is not sent on once less than half a minute is left.
const (
	assertionLife  = 5 * time.Minute
	assertionReuse = 4 * time.Minute
	assertionLast  = assertionLife - 30*time.Second
	// assertionSkew is how far in the future one may have been signed: past that the
	// clock was set back, and backends would take it for not valid yet.
	assertionSkew = 30 * time.Second
)

// assertion is a signed statement to the backend of who calls. It is made once and
// sent with every request of its view until it gets old.
type assertion struct {
	compact  string
	signedAt time.Time // whole seconds, by the wall clock, as the claims say
}

// youngerThan is false for nil.
func (a *assertion) youngerThan(limit time.Duration, now time.Time) bool {
	if a == nil {
		return false
	}
	age := now.Sub(a.signedAt)
	return age >= -assertionSkew && age < limit
}

// identify prepares the identity headers and the assertion of the view. An error
// means that nothing could be signed and the request must not go on.
func (g *Guard) identify(ctx context.Context, v *view, now time.Time, a *Admitted) error {
	signed := v.assertion.Load()
	if !signed.youngerThan(assertionReuse, now) {
		var err error
		if signed, err = g.renewAssertion(ctx, v, signed, now); err != nil {
			return err
		}
	}
	a.tell(v, signed.compact)
	return nil
}

// renewAssertion signs, for one request at a time: the others go on with the last one
// while it is good enough, and so do all while there is nothing to sign with.
func (g *Guard) renewAssertion(ctx context.Context, v *view, last *assertion, now time.Time) (*assertion, error) {
	usable := last.youngerThan(assertionLast, now)
	if usable {
		if !v.renewing.CompareAndSwap(false, true) {
			return last, nil
		}
		defer v.renewing.Store(false)
	}
	key, err := g.keys.signer(ctx, now)
	if err != nil {
		if usable {
			return last, nil
		}
		return nil, fmt.Errorf("sign identity assertion: %w", err)
	}
	a, err := key.sign(g.issuer, v.principal, now, g.log)
	if err != nil {
		return nil, err
	}
	if !v.assertion.CompareAndSwap(last, a) && last == nil {
		return v.assertion.Load(), nil // the first of several first requests
	}
	return a, nil
}

// sign makes an assertion (RFC 7515 §3.1, ES256).
func (k *signingKey) sign(issuer string, p *Principal, now time.Time, log *slog.Logger) (*assertion, error) {
	at := now.Truncate(time.Second)
	payload, err := assertionClaims(issuer, p, at, log)
	if err != nil {
		return nil, fmt.Errorf("write identity assertion: %w", err)
	}
	jws, err := k.signer.Sign(payload)
	if err != nil {
		return nil, fmt.Errorf("sign identity assertion: %w", err)
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		return nil, fmt.Errorf("write identity assertion: %w", err)
	}
	return &assertion{compact: compact, signedAt: at}, nil
}
