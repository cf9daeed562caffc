// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
)

const (
	// soakRedirect is where clients of the soak want their codes. Nothing listens
	// there: their browser stops before it.
	soakRedirect  = "http://127.0.0.1:1/callback"
	soakVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	soakChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// program is an OAuth client that registered itself.
type program struct {
	http   *http.Client
	origin string
	// id and manage are what registration brought; with the latter it can look at its
	// registration and delete it.
	id, manage string
}

// answer is what came back, read to the end. Status zero is no answer: then nobody
// knows what was done, and err says what went wrong.
type answer struct {
	status int
	body   []byte
	err    error
}

func (p *program) send(ctx context.Context, method, path, body string, header http.Header) answer {
	req, err := http.NewRequestWithContext(ctx, method, p.origin+path, strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	req.Header = header
	return readAnswer(p.http.Do(req))
}

func readAnswer(resp *http.Response, err error) answer {
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{err: err} // cut off in the middle
	}
	return answer{status: resp.StatusCode, body: body}
}

func (p *program) post(ctx context.Context, path string, form url.Values) answer {
	return p.send(ctx, http.MethodPost, path, form.Encode(), http.Header{"Content-Type": {formType}})
}

// register registers a public client (RFC 7591).
func (p *program) register(ctx context.Context) answer {
	body := `{"client_name":"Soak","redirect_uris":["` + soakRedirect + `"],"token_endpoint_auth_method":"none"}`
	a := p.send(ctx, http.MethodPost, "/register", body, http.Header{"Content-Type": {"application/json"}})
	if a.status != http.StatusCreated {
		return a
	}
	var r struct {
		ID     string `json:"client_id"`
		Manage string `json:"registration_access_token"`
	}
	if a.err = json.Unmarshal(a.body, &r); a.err != nil {
		return answer{err: a.err}
	}
	p.id, p.manage = r.ID, r.Manage
	return a
}

// registration looks at the client (GET) or deletes it (DELETE, RFC 7592).
func (p *program) registration(ctx context.Context, method string) answer {
	return p.send(ctx, method, "/register/"+p.id, "", http.Header{"Authorization": {"Bearer " + p.manage}})
}

// tokenSet is what the token endpoint hands out.
type tokenSet struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Expires int64  `json:"expires_in"`
}

func (p *program) token(ctx context.Context, form url.Values) (tokenSet, answer) {
	form.Set("client_id", p.id)
	a := p.post(ctx, "/token", form)
	var set tokenSet
	if a.status == http.StatusOK {
		if err := json.Unmarshal(a.body, &set); err != nil {
			return tokenSet{}, answer{err: err}
		}
	}
	return set, a
}

func (p *program) redeem(ctx context.Context, code string) (tokenSet, answer) {
	return p.token(ctx, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {soakRedirect}, "code_verifier": {soakVerifier},
	})
}

func (p *program) refresh(ctx context.Context, token string) (tokenSet, answer) {
	return p.token(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

func (p *program) revoke(ctx context.Context, token string) answer {
	return p.post(ctx, "/revoke", url.Values{"token": {token}, "client_id": {p.id}})
}

// call asks the backend something. The answer has the subject in it that the backend
// was told.
func (p *program) call(ctx context.Context, access, query string) answer {
	return p.send(ctx, http.MethodPost, "/mcp"+query, `{"jsonrpc":"2.0","id":1,"method":"tools/call"}`, mcpHeader(access))
}

func mcpHeader(access string) http.Header {
	return http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Authorization": {"Bearer " + access},
	}
}

// listen opens an event stream.
func (p *program) listen(ctx context.Context, access, query string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.origin+"/mcp"+query, nil)
	if err != nil {
		return nil, err
	}
	req.Header = mcpHeader(access)
	patient := *p.http
	patient.Timeout = 0 // it counts for the body, too
	return patient.Do(req)
}

// tells reports whether the backend named the subject in an answer.
func (a answer) tells(subject string) bool { return bytes.Contains(a.body, []byte(`"`+subject+`"`)) }
