// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"maps"
	"net/http"
)

// Admitted is a request that the guard let through, as the handlers behind it see it.
// It is valid until the guard has its answer, see Over.
type Admitted struct {
	*Principal
	guard *Guard
	// names and values are the identity headers, in the same order. The values are
	// copies for this request: handlers may edit them in place.
	names  []string
	values [len(identityHeaders)]string
	over   bool
}

// Issuer is in whose name the request was admitted.
func (a *Admitted) Issuer() string { return a.guard.issuer }

// Path is that of the resource the request was admitted for.
func (a *Admitted) Path() string { return a.guard.cfg.Path }

// Over reports whether the guard is done with the request. It no longer sees what
// answers it then: an error route may still have the request.
func (a *Admitted) Over() bool { return a.over }

// String is the subject: whoever prints the request's variables must not print the
// assertion.
func (a *Admitted) String() string { return a.Subject }

// tell prepares the headers of the view, with the assertion.
func (a *Admitted) tell(v *view, assertion string) {
	a.names = v.names
	a.values[copy(a.values[:], v.values)] = assertion
}

// setIdentity sets the identity headers, if the resource has any.
func (a *Admitted) setIdentity(h http.Header) {
	for i, name := range a.names {
		h[name] = a.values[i : i+1 : i+1]
	}
}

// WithIdentity returns the header with the identity headers set that the guard left to
// the proxy, see Resource.DeferIdentity: a copy, if there are any. It may be called
// again for every attempt.
func (a *Admitted) WithIdentity(h http.Header) http.Header {
	if len(a.names) == 0 {
		return h
	}
	out := make(http.Header, len(h)+len(a.names))
	maps.Copy(out, h)
	a.setIdentity(out)
	return out
}
