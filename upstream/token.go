// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"log/slog"
	"time"
)

// Token is a user's token at the provider. It is kept sealed and never shown: it
// formats as a placeholder, in logs too. Its JSON form is what gets sealed.
type Token struct {
	// Access is the access token, of type bearer.
	Access string `json:"access"`
	// Refresh renews it. Empty where the provider gave none.
	Refresh string `json:"refresh,omitempty"`
	// Expiry is the end of Access. Zero: it does not say, or does not end.
	Expiry time.Time `json:"expiry,omitzero"`
	// Scope is what was granted, as the provider wrote it.
	Scope string `json:"scope,omitempty"`
	// ID is the newest OIDC id_token, of providers that put facts nowhere else.
	ID string `json:"id,omitempty"`
}

// ExpiresWithin reports whether Access ends within d from now. One that does not
// say when it ends does not.
func (t *Token) ExpiresWithin(d time.Duration, now time.Time) bool {
	return !t.Expiry.IsZero() && !now.Add(d).Before(t.Expiry)
}

const redacted = "[redacted]"

// String hides the token from logs and errors.
func (Token) String() string { return redacted }

// GoString hides the token from %#v.
func (Token) GoString() string { return "upstream.Token" + redacted }

// LogValue hides the token from structured logs.
func (Token) LogValue() slog.Value { return slog.StringValue(redacted) }
