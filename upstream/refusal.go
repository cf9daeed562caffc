// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"fmt"
	"time"
)

// Reason says why a sign-in ended without an identity. Reasons are stable: they
// appear in logs and on pages, and tests name them.
type Reason string

const (
	// ReasonDenied: the user declined on the provider's page.
	ReasonDenied Reason = "denied"
	// ReasonInvalid: the callback or the credentials were not acceptable.
	ReasonInvalid Reason = "invalid"
	// ReasonWrongPassword: unknown name or wrong password.
	ReasonWrongPassword Reason = "wrong_password"
	// ReasonThrottled: too many attempts; try again later.
	ReasonThrottled Reason = "throttled"
	// ReasonMisconfigured: the operator's client id, secret or callback URL is
	// not what the provider has on file.
	ReasonMisconfigured Reason = "misconfigured"
	// ReasonUnavailable: the provider did not answer, or answered something
	// that proves nothing either way. Never treated as a pass.
	ReasonUnavailable Reason = "unavailable"
	// ReasonInsufficientScope: the user or the provider withheld a permission
	// that the allow rules need.
	ReasonInsufficientScope Reason = "insufficient_scope"
	// ReasonRevoked, of a check only: the account is gone or suspended, or the
	// user or the provider took the newest token back.
	ReasonRevoked Reason = "revoked"
	// ReasonSignInNeeded, of a check only: nothing is wrong as far as we know, but
	// the provider answers about this user only after another sign-in.
	ReasonSignInNeeded Reason = "sign_in_needed"
)

// Refusal is the only error type of upstreams. Reason decides the page; Err is
// the cause for the log. It never contains a token, code or secret.
type Refusal struct {
	Reason Reason
	Err    error
	// RetryAfter is when the provider wants to be asked again, zero where it did
	// not say. It is about all users: a quota was used up, for example.
	RetryAfter time.Duration
}

// Refuse builds a Refusal around a formatted cause.
func Refuse(reason Reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Err: fmt.Errorf(format, args...)}
}

func (r *Refusal) Error() string {
	if r.Err == nil {
		return "sign-in refused: " + string(r.Reason)
	}
	return "sign-in refused: " + string(r.Reason) + ": " + r.Err.Error()
}

func (r *Refusal) Unwrap() error { return r.Err }
