// SPDX-License-Identifier: Apache-2.0

package doctor

import "net/http"

// wellKnownCheck: where there is nothing, the answer is 404 (R2.9, R3.10).
func wellKnownCheck(o *observation) Check {
	const mend = "Answer 404 at well-known addresses that are not in use, before authentication and before a catch-all page."
	for _, e := range o.others {
		d := newDocument(e)
		switch {
		case e.Err != nil || e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
			return fail(checkWellKnown, "an unused well-known address is refused, which ends some clients' discovery", mend, e.String()).
				affecting(claudeHosted)
		case e.Status >= 500:
			return fail(checkWellKnown, "an unused well-known address answers with an error, at which clients stop", mend, e.String()).
				affecting(inspector, tsSDK1, tsSDK2, goSDK)
		case e.redirect():
			return fail(checkWellKnown, "an unused well-known address redirects", mend, e.String()).affecting(claudeHosted)
		case len(e.Hops) > 0 && e.Status != http.StatusOK:
			return warn(checkWellKnown, "an unused well-known address redirects before it says that there is nothing", mend, e.String())
		case e.Status == http.StatusOK && !d.readable():
			return fail(checkWellKnown, "an unused well-known address answers 200 with "+d.unusable, mend, e.String()).
				affecting(claudeHosted, tsSDK1, tsSDK2)
		case e.Status == http.StatusOK && (d.str("issuer") == "" || d.str("token_endpoint") == ""):
			return fail(checkWellKnown, "a well-known address has metadata without issuer or token endpoint", mend, e.String()).
				affecting(tsSDK1, tsSDK2)
		case e.Status == http.StatusOK && e.URL == o.target.Origin+wellKnownOpenID && !openIDProvider(d):
			return warn(checkWellKnown, "openid-configuration is there, but is not that of an OpenID provider",
				"Answer 404 there, unless it is one: jwks_uri, subject_types_supported and id_token_signing_alg_values_supported are missing.", e.String())
		}
	}
	return pass(checkWellKnown, "well-known addresses that are not in use answer 404, or with metadata")
}

// openIDProvider reports whether a document has what OpenID Connect Discovery
// requires beyond RFC 8414.
func openIDProvider(d *document) bool {
	for _, name := range []string{"jwks_uri", "subject_types_supported", "id_token_signing_alg_values_supported"} {
		if !d.has(name) {
			return false
		}
	}
	return true
}

// tokenCheck: clients repair themselves by the error codes of RFC 6749 (R4.22).
func tokenCheck(o *observation) Check {
	e := o.token
	if e == nil {
		return skip(checkToken, "there is no token endpoint to ask")
	}
	d := newDocument(&Exchange{Status: http.StatusOK, Header: e.Header, Body: e.Body, Truncated: e.Truncated})
	const mend = "Answer a refused token request with 400 or 401 and a JSON error of RFC 6749 §5.2: invalid_client makes clients register again, " +
		"invalid_grant makes them sign in again, anything else leaves their users stranded."
	switch code := d.str("error"); {
	case e.firewall():
		return fail(checkToken, "something in front of the token endpoint refuses with a web page", mendFirewall, e.String())
	case e.Err != nil || e.Status != http.StatusBadRequest && e.Status != http.StatusUnauthorized:
		return fail(checkToken, "a made-up refresh token is not refused with 400 or 401", mend, e.String())
	case code == "invalid_client" || code == "invalid_grant":
		return pass(checkToken, "a made-up refresh token is refused with "+code)
	case code != "":
		return warn(checkToken, "a made-up refresh token is refused with "+printable(code), mend, e.String())
	}
	return fail(checkToken, "a refused token request has no JSON error", mend, e.String())
}

func registerChecks(o *observation) []Check {
	var checks []Check
	for _, r := range []struct {
		id, kind string
		got      *registration
	}{
		{checkRegisterPublic, "without a secret", o.registerPublic},
		{checkRegisterSecret, "with a secret", o.registerSecret},
	} {
		switch {
		case r.got == nil:
		case r.got.problem == "":
			checks = append(checks, pass(r.id, "a throw-away client "+r.kind+" was registered"))
		default:
			checks = append(checks, fail(r.id, "a client "+r.kind+" cannot register: "+r.got.problem,
				"Answer 201 with the registered metadata, and errors with 400 and a JSON error (RFC 7591 §3.2).", r.got.String()))
		}
	}
	return checks
}
