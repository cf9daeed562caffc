// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// serverMetadata finds the metadata of an issuer as the client does. Nil: there is
// none, and what that means for the client is noted.
func (w *walk) serverMetadata(issuer string) *document {
	for _, d := range w.o.serverDocuments(issuer) {
		switch {
		case d.readable() && w.f.validates && w.f.strictFetch && spoiled(d):
			w.fails(checkServerForm, "it refuses server metadata with a missing, empty or malformed member")
			return d
		case d.readable():
			if got := d.str("issuer"); w.f.issuer != nil && !w.f.issuer(issuer, got) {
				w.fails(orElse(w.cause, checkIssuer), fmt.Sprintf("it expects the issuer %s, and the metadata says %s", printable(issuer), printable(got)))
			}
			return d
		case w.f.strictFetch && d.Err == nil && (d.Status == http.StatusOK || d.Status >= 500 && !(d.Status == http.StatusBadGateway && w.f.id == tsSDK2)):
			w.fails(orElse(w.cause, checkServer), "it stops at server metadata that is "+d.unusable)
			return nil
		case w.f.needsNotFound && (d.ok(http.StatusUnauthorized) || d.ok(http.StatusForbidden)):
			w.fails(orElse(w.cause, checkServer), "a refusal instead of the server metadata ends its discovery")
			return nil
		}
	}
	w.withoutServer()
	return nil
}

// serverDocuments are the documents of an issuer, in whichever spelling.
func (o *observation) serverDocuments(issuer string) []*document {
	if list := o.servers[issuer]; list != nil {
		return list
	}
	issuer, _, _ = strings.Cut(issuer, "?")
	for spelled, list := range o.servers {
		if strings.TrimSuffix(normalised(spelled), "/") == strings.TrimSuffix(normalised(issuer), "/") {
			return list
		}
	}
	return nil
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// spoiled reports whether server metadata fails validation.
func spoiled(d *document) bool {
	for _, name := range []string{"issuer", "authorization_endpoint", "token_endpoint", "response_types_supported"} {
		if !d.has(name) {
			return true
		}
	}
	return len(d.rejected) > 0
}

// withoutServer: some clients use the endpoints of the revision 2025-03-26.
func (w *walk) withoutServer() {
	if !w.f.guesses {
		w.fails(orElse(w.cause, checkServer), "without server metadata it knows no endpoint to sign in at")
		return
	}
	for _, path := range []string{"/authorize", "/token", "/register"} {
		if e := w.o.guessed[path]; e == nil || e.Err != nil || e.Status == http.StatusNotFound {
			w.fails(orElse(w.cause, checkServer), "without server metadata it uses "+path+" at the origin, where there is nothing")
			return
		}
	}
	w.copes(orElse(w.cause, checkServer), "without server metadata it uses /authorize, /token and /register at the origin")
}

// useServer is what the client needs of the metadata.
func (w *walk) useServer(d *document) {
	for _, name := range []string{"authorization_endpoint", "token_endpoint"} {
		switch address := d.str(name); {
		case address == "":
			w.fails(checkEndpoints, "the metadata has no "+name)
		case !secureURL(address):
			w.fails(checkEndpoints, "it uses no "+name+" over plain http")
		case !sameOrigin(address, w.o.target.URL) && (w.f.id == claudeHosted || w.f.id == claudeCode):
			w.copes(checkEndpoints, "some versions use the MCP server's own host instead of the "+name)
		}
	}
	if types := d.list("response_types_supported"); len(types) > 0 && !slices.Contains(types, "code") {
		w.fails(checkServerForm, "response_types_supported lacks code")
	}
	methods := d.list("code_challenge_methods_supported")
	switch {
	case slices.Contains(methods, "S256"):
	case len(methods) == 0 && !w.f.pkce:
		w.copes(checkPKCE, "it goes on without knowing whether PKCE is supported")
	default:
		w.fails(checkPKCE, "it refuses a server that does not announce PKCE with S256")
	}
	w.becomeClient(d)
}

// becomeClient is how the client gets an id.
func (w *walk) becomeClient(d *document) {
	methods := d.list("token_endpoint_auth_methods_supported")
	public := slices.Contains(methods, "none")
	if w.f.documents && d.flag("client_id_metadata_document_supported") && (public || len(methods) == 0) {
		return
	}
	endpoint := d.str("registration_endpoint")
	switch {
	case endpoint == "":
		w.fails(checkRegistration, "there is no registration endpoint, and nobody registered it by hand")
		return
	case !secureURL(endpoint):
		w.fails(checkEndpoints, "it uses no registration_endpoint over plain http")
	}
	if w.f.secret {
		if len(methods) > 0 && !slices.Contains(methods, "client_secret_basic") && !slices.Contains(methods, "client_secret_post") {
			w.fails(checkAuthMethods, "it authenticates with a client secret, and the server takes none")
		}
		return
	}
	switch {
	case public:
	case len(methods) == 0:
		w.copes(checkAuthMethods, "it registers without a secret, which the metadata does not mention")
	case w.f.hosted:
		w.fails(checkAuthMethods, "it registers without a secret, and the server does not accept that")
	default:
		w.copes(checkAuthMethods, "it registers without a secret, and goes on only if the server gives it one all the same")
	}
}
