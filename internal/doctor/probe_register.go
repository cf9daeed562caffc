// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"encoding/json"
	"net/http"
)

// registration is a dynamic client registration that was tried (RFC 7591).
type registration struct {
	*Exchange
	// problem is what is wrong with the answer, "" if nothing is.
	problem string
}

// register registers two throw-away clients, as an MCP client on somebody's own
// computer does, and as one that keeps a secret does. What they are given is
// looked at and forgotten: it is in no report.
func (p *prober) register(ctx context.Context) {
	address := p.o.server().str("registration_endpoint")
	if address == "" || !p.mayFetch(ctx, address) {
		return
	}
	p.o.registerPublic = p.registerAs(ctx, address, "none")
	p.o.registerSecret = p.registerAs(ctx, address, "client_secret_basic")
}

func (p *prober) registerAs(ctx context.Context, address, method string) *registration {
	body, err := json.Marshal(map[string]any{
		"client_name": "caddy mcp-oauth doctor (throw-away)", "redirect_uris": []string{"http://127.0.0.1/callback"},
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
		"token_endpoint_auth_method": method, "application_type": "native",
	})
	if err != nil { // a map of strings
		return &registration{Exchange: &Exchange{Method: methodPost, URL: address, Err: err}, problem: "it could not be asked"}
	}
	e := p.do(ctx, methodPost, address, string(body), "Content-Type", "application/json", "Accept", "application/json")
	r := &registration{Exchange: e, problem: registrationProblem(e, method)}
	e.Body = nil // a client secret may be in it
	return r
}

// registrationProblem judges the answer (RFC 7591 §3.2).
func registrationProblem(e *Exchange, method string) string {
	switch {
	case e.Err != nil:
		return "there is no answer"
	case e.firewall():
		return "a web page refuses it, as a firewall does"
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
		return "it is not open to clients that nobody registered before"
	case e.Status == http.StatusOK:
		return "the status is 200, where RFC 7591 asks for 201"
	case e.Status != http.StatusCreated:
		return "it is refused" + oauthErrorCode(e)
	}
	d := newDocument(&Exchange{Status: http.StatusOK, Header: e.Header, Body: e.Body, Truncated: e.Truncated})
	switch secret := d.str("client_secret"); {
	case !d.readable():
		return "the answer is " + d.unusable
	case d.str("client_id") == "":
		return "the answer has no client_id"
	case len(d.list("redirect_uris")) == 0:
		return "the answer has no redirect_uris, which clients require"
	case nullMember(d) != "":
		return nullMember(d) + " is null, and validating clients refuse that"
	case method != "none" && secret == "":
		return "a client that asked for client_secret_basic got no client_secret"
	case method != "none" && !d.has("client_secret_expires_at"):
		return "client_secret_expires_at is missing beside client_secret"
	case method == "none" && d.str("token_endpoint_auth_method") == "none" && secret != "":
		return "it says token_endpoint_auth_method none and gives a client_secret all the same"
	}
	return ""
}

func nullMember(d *document) string {
	for _, name := range d.empty {
		if string(d.members[name]) == "null" {
			return name
		}
	}
	return ""
}

// oauthErrorCode is " with <code>" of an RFC 6749 error body.
func oauthErrorCode(e *Exchange) string {
	d := newDocument(&Exchange{Status: http.StatusOK, Header: e.Header, Body: e.Body, Truncated: e.Truncated})
	if code := d.str("error"); code != "" {
		return " with " + printable(code)
	}
	return ""
}
