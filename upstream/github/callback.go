// SPDX-License-Identifier: Apache-2.0

package github

import (
	"net/url"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// maxCode bounds a code in bytes. GitHub's have twenty.
const maxCode = 1024

// checkCallback returns the code from the parameters GitHub sent the browser
// back with. The caller has compared state already.
func (g *GitHub) checkCallback(params url.Values) (string, error) {
	// RFC 6749 §3.1: parameters must not be included more than once. Readers
	// that differ in which one they take are how mix-ups are built.
	for _, name := range []string{"code", "state", "error", "iss"} {
		if len(params[name]) > 1 {
			return "", upstream.Refuse(upstream.ReasonInvalid, "callback has %s more than once", name)
		}
	}
	// RFC 9207 §2.4, also for errors. GitHub sends iss, GitHub Enterprise
	// Server not yet.
	if params.Has("iss") && !g.isIssuer(params.Get("iss")) {
		return "", upstream.Refuse(upstream.ReasonInvalid, "callback is from issuer %s, not from %s",
			quote(params.Get("iss")), g.base)
	}
	code, failure := params.Get("code"), params.Get("error")
	switch {
	case params.Has("error") && params.Has("code"):
		return "", upstream.Refuse(upstream.ReasonInvalid, "callback has both code and error")
	case params.Has("error"):
		return "", upstream.Refuse(callbackReason(failure), "github: %s", quote(failure))
	case code == "" || len(code) > maxCode:
		return "", upstream.Refuse(upstream.ReasonInvalid, "callback has no usable code")
	}
	return code, nil
}

func (g *GitHub) isIssuer(iss string) bool {
	return iss == g.base.String() || iss == g.base.JoinPath("login/oauth").String()
}

// callbackReason maps the error codes of GitHub's authorization endpoint.
func callbackReason(code string) upstream.Reason {
	switch code {
	case "access_denied":
		return upstream.ReasonDenied
	case "server_error", "temporarily_unavailable": // RFC 6749 §4.1.2.1
		return upstream.ReasonUnavailable
	case "":
		return upstream.ReasonInvalid
	}
	// redirect_uri_mismatch, application_suspended, invalid_scope, …: nothing
	// the user can do about any of them.
	return upstream.ReasonMisconfigured
}
