// SPDX-License-Identifier: Apache-2.0

package upstream

import "fmt"

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
)

// Refusal is the only error type of upstreams. Reason decides the page; Err is
// the cause for the log. It never contains a token, code or secret.
type Refusal struct {
	Reason Reason
	Err    error
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
