// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/http"
	"slices"
	"strings"
)

// serverCheck is the authorization server metadata (R3.1, R3.2).
func serverCheck(o *observation) Check {
	d := o.server()
	list := o.servers[o.serverURL()]
	var evidence []string
	for _, d := range list {
		evidence = append(evidence, d.String())
	}
	const mend = "Serve it without authentication, as JSON with status 200, at /.well-known/oauth-authorization-server of the issuer (RFC 8414 §3)."
	switch {
	case len(list) > 0 && list[0].firewall():
		return fail(checkServer, "something in front of the authorization server answers with a web page", mendFirewall, evidence...)
	case d == nil:
		return fail(checkServer, "there is no authorization server metadata", mend, evidence...)
	case d != list[0] && (list[0].Err != nil || list[0].Status == http.StatusOK || list[0].Status >= 500):
		return fail(checkServer, "the first address clients try answers with "+list[0].unusable, mend, evidence...)
	case d != list[0]:
		return warn(checkServer, "there is an OpenID Connect document only",
			"Clients of the revisions before 2025-11-25 need /.well-known/oauth-authorization-server too.", evidence...)
	}
	return pass(checkServer, "the authorization server metadata is where clients look")
}

// withServer runs a check that needs the document.
func withServer(o *observation, id string, check func(*document) Check) Check {
	d := o.server()
	if d == nil {
		return skip(id, "there is no authorization server metadata")
	}
	return check(d)
}

func serverFormCheck(o *observation) Check {
	return withServer(o, checkServerForm, func(d *document) Check {
		for _, name := range []string{"issuer", "authorization_endpoint", "token_endpoint", "response_types_supported"} {
			if !d.has(name) {
				return fail(checkServerForm, "the metadata lacks "+name+", which RFC 8414 §2 requires", "Add it.", d.String())
			}
		}
		if types := d.list("response_types_supported"); !slices.Contains(types, "code") {
			return fail(checkServerForm, "response_types_supported does not list code", `Add "response_types_supported": ["code"].`, d.String()).
				affecting(tsSDK1, tsSDK2)
		}
		if c, bad := formCheck(checkServerForm, d); bad {
			return c
		}
		return pass(checkServerForm, "the metadata has no empty or malformed members")
	})
}

// issuerCheck: byte for byte, and https (R3.3).
func issuerCheck(o *observation) Check {
	return withServer(o, checkIssuer, func(d *document) Check {
		want, got := o.serverURL(), d.str("issuer")
		evidence := []string{d.String(), excerpt(d, "issuer"), "authorization_servers: " + printable(want)}
		switch {
		case got == "":
			return fail(checkIssuer, "the metadata has no issuer", "Add it: "+printable(want), evidence[0])
		case got != want:
			return fail(checkIssuer, "the issuer is not the one the resource names", "Write both the same, byte for byte, and without a trailing slash.", evidence...)
		case !secureURL(got):
			return fail(checkIssuer, "the issuer is not https", "Use an https issuer.", evidence...)
		case strings.HasSuffix(got, "/") || strings.ContainsAny(got, "?#"):
			return warn(checkIssuer, "the issuer ends in a slash, or has a query", "Leave it out, in both documents.", evidence...)
		}
		return pass(checkIssuer, "the issuer is the same in both documents, byte for byte")
	})
}

func endpointsCheck(o *observation) Check {
	return withServer(o, checkEndpoints, func(d *document) Check {
		for _, name := range []string{"authorization_endpoint", "token_endpoint", "registration_endpoint"} {
			address := d.str(name)
			switch {
			case address == "" && name != "registration_endpoint":
				return fail(checkEndpoints, "the metadata has no "+name, "Add it.", d.String())
			case address == "":
			case !secureURL(address):
				return fail(checkEndpoints, name+" is not an https URL", "Use https.", excerpt(d, name))
			case !sameOrigin(address, d.URL):
				return warn(checkEndpoints, name+" is at another origin than the issuer",
					"It works by the specification; clients that check origins are safer with one.", excerpt(d, name))
			}
		}
		return pass(checkEndpoints, "the endpoints are https, at the issuer's origin")
	})
}

func pkceCheck(o *observation) Check {
	return withServer(o, checkPKCE, func(d *document) Check {
		switch methods := d.list("code_challenge_methods_supported"); {
		case !slices.Contains(methods, "S256"):
			return fail(checkPKCE, "code_challenge_methods_supported does not list S256",
				`Add "code_challenge_methods_supported": ["S256"]; clients must refuse a server without.`, d.String())
		case slices.Contains(methods, "plain"):
			return warn(checkPKCE, "PKCE without a hash is offered as well", "Take plain off the list.", excerpt(d, "code_challenge_methods_supported"))
		}
		return pass(checkPKCE, "PKCE with S256 is announced")
	})
}

// issCheck is RFC 9207, which protects against mixed-up servers (R3.6).
func issCheck(o *observation) Check {
	return withServer(o, checkIss, func(d *document) Check {
		if d.flag("authorization_response_iss_parameter_supported") {
			return pass(checkIss, "answers to the browser name their issuer (RFC 9207)")
		}
		return warn(checkIss, "answers to the browser do not name their issuer, or it is not announced",
			"Send iss and announce authorization_response_iss_parameter_supported; the MCP specification expects to require it. "+
				"Never send it without announcing it: the Go SDK refuses that.", d.String()).affecting(goSDK, tsSDK2, chatGPT)
	})
}

func authMethodsCheck(o *observation) Check {
	return withServer(o, checkAuthMethods, func(d *document) Check {
		methods := d.list("token_endpoint_auth_methods_supported")
		const mend = `Accept clients without a secret and list "none" in token_endpoint_auth_methods_supported: ` +
			"clients on somebody's own computer cannot keep one."
		switch {
		case len(methods) == 0:
			return warn(checkAuthMethods, "the metadata does not say how clients authenticate, which means with a secret", mend, d.String())
		case !slices.Contains(methods, "none"):
			return fail(checkAuthMethods, "clients without a secret are not accepted", mend, excerpt(d, "token_endpoint_auth_methods_supported"))
		case !slices.Contains(methods, "client_secret_basic") && !slices.Contains(methods, "client_secret_post"):
			return warn(checkAuthMethods, "clients with a secret are not accepted",
				"Accept client_secret_basic and client_secret_post too.", excerpt(d, "token_endpoint_auth_methods_supported")).affecting(secretKeeper)
		}
		return pass(checkAuthMethods, "clients with and without a secret are accepted")
	})
}

func registrationCheck(o *observation) Check {
	return withServer(o, checkRegistration, func(d *document) Check {
		switch {
		case d.str("registration_endpoint") != "":
			return pass(checkRegistration, "clients can register themselves")
		case d.flag("client_id_metadata_document_supported"):
			return warn(checkRegistration, "there is no registration endpoint; only clients with a metadata document of their own have an id",
				"Offer dynamic client registration (RFC 7591) too.", d.String())
		}
		return fail(checkRegistration, "clients cannot register themselves",
			"Offer dynamic client registration (`registration open`), or register each client by hand and give people its id.", d.String())
	})
}
