// SPDX-License-Identifier: Apache-2.0

package fetch

import (
	"context"
	"errors"
	"net"
	"os"

	"code.dny.dev/ssrf"
)

// Reason is why there is no document, for the log. Whoever named the address must
// not learn it: the difference between "refused" and "no answer" maps a network.
type Reason string

// Reasons of a Failure.
const (
	// ReasonRefused: the URL, or an address its name stands for, is none that a
	// request may go to.
	ReasonRefused Reason = "refused"
	// ReasonUnreachable: no such name, no connection, no valid certificate.
	ReasonUnreachable Reason = "unreachable"
	// ReasonTimeout: it took longer than the time there is.
	ReasonTimeout Reason = "timeout"
	// ReasonStatus: the status is not 200.
	ReasonStatus Reason = "status"
	// ReasonType: the content type is not JSON.
	ReasonType Reason = "content_type"
	// ReasonSize: the document is too long.
	ReasonSize Reason = "size"
	// ReasonInvalid: there is a document, but not one to accept.
	ReasonInvalid Reason = "invalid"
	// ReasonLimited: too many documents were asked for, or this one failed a
	// moment ago. No request was made.
	ReasonLimited Reason = "limited"
)

// Failure is the error of this package. Its text is the same whatever happened,
// so that it cannot tell what it must not; Reason and Detail are for the log.
type Failure struct {
	Reason Reason
	// Temporary failures say nothing about the document: asked again, it may be
	// there.
	Temporary bool
	Err       error
}

// Error is the same text for every failure.
func (f *Failure) Error() string { return "the document could not be fetched" }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Detail is reason and cause in words, for the log. The cause is built from
// addresses and status codes, never from a body.
func (f *Failure) Detail() string {
	if f.Err == nil {
		return string(f.Reason)
	}
	return string(f.Reason) + ": " + f.Err.Error()
}

func definite(r Reason, err error) *Failure  { return &Failure{Reason: r, Err: err} }
func transient(r Reason, err error) *Failure { return &Failure{Reason: r, Err: err, Temporary: true} }

// reasonOf sorts the errors of net/http.
func reasonOf(err error) Reason {
	var netErr net.Error
	switch {
	case errors.Is(err, ssrf.ErrProhibitedIP), errors.Is(err, ssrf.ErrProhibitedNetwork), errors.Is(err, ssrf.ErrInvalidHostPort):
		return ReasonRefused
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return ReasonTimeout
	}
	return ReasonUnreachable
}
