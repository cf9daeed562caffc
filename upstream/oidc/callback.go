// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"context"
	"net/url"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// maxCode bounds a code in bytes. Some providers put everything into theirs.
const maxCode = 8 << 10

// checkCallback returns the code from the parameters that the provider sent the
// browser back with. The caller has compared state already. What gives a callback
// away as another's is looked at before anything is sent anywhere.
func (o *OIDC) checkCallback(ctx context.Context, params url.Values) (string, error) {
	// RFC 6749 §3.1: parameters must not be included more than once. Readers that
	// differ in which one they take are how mix-ups are built.
	for _, name := range []string{"code", "state", "error", "iss"} {
		if len(params[name]) > 1 {
			return "", upstream.Refuse(upstream.ReasonInvalid, "oidc: callback has %s more than once", name)
		}
	}
	// RFC 9207 §2.4, also for errors.
	if params.Has("iss") && params.Get("iss") != o.issuer {
		return "", upstream.Refuse(upstream.ReasonInvalid, "oidc: callback is from issuer %s, not from %s",
			quote(params.Get("iss")), o.issuer)
	}
	code, failure := params.Get("code"), params.Get("error")
	switch {
	case params.Has("error") && params.Has("code"):
		return "", upstream.Refuse(upstream.ReasonInvalid, "oidc: callback has both code and error")
	case !params.Has("error") && (code == "" || len(code) > maxCode):
		return "", upstream.Refuse(upstream.ReasonInvalid, "oidc: callback has no usable code")
	}
	if !params.Has("iss") {
		m, err := o.discovery.get(ctx, discoveryFresh)
		if err != nil {
			return "", err
		}
		if m.issued {
			return "", upstream.Refuse(upstream.ReasonInvalid, "oidc: callback does not say which issuer it is from, which this provider always does")
		}
	}
	if params.Has("error") {
		return "", upstream.Refuse(callbackReason(failure), "oidc: the provider answered %s", quote(failure))
	}
	return code, nil
}

// callbackReason maps the error codes of RFC 6749 §4.1.2.1 and OpenID Connect Core
// §3.1.2.6.
func callbackReason(code string) upstream.Reason {
	switch code {
	case "access_denied":
		return upstream.ReasonDenied
	case "server_error", "temporarily_unavailable":
		return upstream.ReasonUnavailable
	case "", "interaction_required", "login_required", "account_selection_required", "consent_required":
		// The user did not get through the provider's pages; trying again may help.
		return upstream.ReasonInvalid
	}
	// invalid_scope, unauthorized_client, …: nothing the user can do about any of
	// them.
	return upstream.ReasonMisconfigured
}
