// SPDX-License-Identifier: Apache-2.0

package compat

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const (
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	s256     = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	state1   = "4f1c9a52-6f0e-4f0b-9a39-0c2f5d3d8f6a"
)

// replay is one client on one connection.
type replay struct {
	t      *testing.T
	w      *world
	client *Client
	conn   Connection
	seen   *Seen
}

func newReplay(t *testing.T, c *Client, conn Connection) *replay {
	t.Helper()
	u, err := url.Parse(conn.URL)
	if err != nil {
		t.Fatal(err)
	}
	path := strings.TrimSuffix(u.Path, "/")
	if path == "" {
		path = "/"
	}
	return &replay{
		t: t, w: newWorld(t, path), client: c, conn: conn,
		seen: &Seen{URL: conn.URL, Redirect: conn.Redirect, State: state1},
	}
}

func (r *replay) expand(s string) string { return Expand(s, r.seen.Values()) }

// connect is the whole sign-in, up to a refreshed token that was used.
func (r *replay) connect() {
	r.t.Helper()
	r.discover()
	r.register()
	r.authorize(r.w.browser(r.t))
	r.redeem()
	r.call(r.seen.Token, http.StatusOK)
	r.seen.Refreshed = r.refresh(r.seen.Token.Text("refresh_token"))
	r.call(r.seen.Refreshed, http.StatusOK)
}

// request sends what the file says, and judges the status as the file does.
func (r *replay) request(q Request, header map[string]string) *Answer {
	r.t.Helper()
	all := map[string]string{}
	for _, set := range []map[string]string{q.Header, header} {
		for name, value := range set {
			all[name] = value
		}
	}
	a := r.w.send(r.t, q.Method, r.expand(q.URL), all, q.Body)
	broken := a.Status == http.StatusUnauthorized || a.Status >= 500
	if q.Want == 0 && broken || q.Want != 0 && a.Status != q.Want {
		r.t.Fatalf("%s %s: %d, want %d\n%s", q.Method, a.URL, a.Status, q.Want, a.Body)
	}
	return a
}

// discover sends the first request and fetches the documents.
func (r *replay) discover() {
	r.t.Helper()
	if r.client.First != nil {
		r.seen.First = r.request(*r.client.First, nil)
	}
	for _, q := range r.client.Discovery {
		r.preflight(q.Method, q.URL, q.Header)
		a := r.request(q, nil)
		if a.Status != http.StatusOK {
			continue
		}
		v := r.seen.Values()
		switch {
		case a.URL == v["as"] && r.seen.Server == nil:
			r.seen.Server = a
		case a.URL == v["root_prm"] && r.seen.Root == nil:
			r.seen.Root = a
			if v["path"] == "" {
				r.seen.Resource = a
			}
		case strings.HasPrefix(a.URL, v["prm"]) && r.seen.Resource == nil:
			r.seen.Resource = a
		}
	}
}

// preflight asks what a browser asks before a request of a web page.
func (r *replay) preflight(method, address string, header map[string]string) {
	r.t.Helper()
	if header["Origin"] == "" {
		return
	}
	r.seen.Preflights = append(r.seen.Preflights, r.w.send(r.t, http.MethodOptions, r.expand(address), map[string]string{
		"Origin": header["Origin"], "Access-Control-Request-Method": method,
		"Access-Control-Request-Headers": "content-type,mcp-protocol-version",
	}, ""))
}

// register registers the client where the metadata says.
func (r *replay) register() {
	r.t.Helper()
	r.seen.Asked = json.RawMessage(r.expand(string(r.client.Registration)))
	r.seen.Registered = r.registration()
}

func (r *replay) registration() *Answer {
	r.t.Helper()
	address := r.seen.Server.Text("registration_endpoint")
	r.preflight(http.MethodPost, address, r.client.RegistrationHeader)
	return r.request(Request{
		Method: http.MethodPost, URL: address, Header: map[string]string{"Content-Type": "application/json"},
		Body: string(r.seen.Asked), Want: http.StatusCreated,
	}, r.client.RegistrationHeader)
}

// authorizeURL is where the client sends the person.
func (r *replay) authorizeURL() string {
	q := url.Values{
		"response_type": {"code"}, "client_id": {r.seen.Registered.Text("client_id")}, "redirect_uri": {r.conn.Redirect},
		"code_challenge": {s256}, "code_challenge_method": {"S256"}, "state": {r.seen.State},
	}
	for _, set := range []map[string]string{r.client.Authorize, r.conn.Authorize} {
		for name, value := range set {
			q.Set(name, r.expand(value))
		}
	}
	if q.Get("resource") == "" {
		q.Del("resource") // there is none, unlike a scope of nothing
	}
	return r.seen.Server.Text("authorization_endpoint") + "?" + q.Encode()
}

// authorize lets the person agree, and takes the answer.
func (r *replay) authorize(b *browser) {
	r.t.Helper()
	p := b.open(r.authorizeURL())
	if u, err := url.Parse(r.conn.Redirect); err != nil || !strings.Contains(p.visible(), u.Host) {
		r.t.Errorf("the consent page does not name %s:\n%s", r.conn.Redirect, p.visible())
	}
	r.answered(b.decide(p, "approve"))
}

func (r *replay) answered(p *page) {
	r.t.Helper()
	if p.location == nil || p.location.Query().Get("code") == "" {
		r.t.Fatalf("no code: %d %v\n%s", p.status, p.location, p.text)
	}
	r.seen.Callback = p.location
}

// redeem exchanges the code.
func (r *replay) redeem() {
	r.t.Helper()
	a := r.token(url.Values{
		"grant_type": {"authorization_code"}, "code": {r.seen.Callback.Query().Get("code")},
		"redirect_uri": {r.conn.Redirect}, "code_verifier": {verifier},
	}, r.client.Token)
	if a.Status != http.StatusOK {
		r.t.Fatalf("token: %d %s", a.Status, a.Body)
	}
	r.seen.Token = a
}

// refresh exchanges a refresh token.
func (r *replay) refresh(refreshToken string) *Answer {
	r.t.Helper()
	return r.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}}, r.client.Refresh)
}

func (r *replay) token(form url.Values, extra map[string]string) *Answer {
	r.t.Helper()
	for name, value := range extra {
		if own, ok := r.conn.Authorize[name]; ok {
			value = own // what it asked for, it asks for again
		}
		form.Set(name, r.expand(value))
	}
	header := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	for name, value := range r.client.TokenHeader {
		header[name] = value
	}
	id, secret := r.seen.Registered.Text("client_id"), r.seen.Registered.Text("client_secret")
	form.Set("client_id", id)
	switch r.client.Authenticates {
	case "none":
	case "empty":
		form.Set("client_secret", "")
	case "post":
		form.Set("client_secret", secret)
	case "basic": // without encoding, as the SDKs do
		form.Del("client_id")
		header["Authorization"] = "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
	default:
		r.t.Fatalf("authenticates by %q", r.client.Authenticates)
	}
	return r.w.send(r.t, http.MethodPost, r.seen.Server.Text("token_endpoint"), header, form.Encode())
}

// call uses a token where it belongs, and makes sure it is good nowhere else.
func (r *replay) call(token *Answer, want int) {
	r.t.Helper()
	bearer := map[string]string{"Authorization": "Bearer " + token.Text("access_token")}
	before := r.w.reached(r.w.paths[0])
	q := r.client.Call
	q.Want = want
	r.request(q, bearer)
	if reached := r.w.reached(r.w.paths[0]) > before; reached != (want == http.StatusOK) {
		r.t.Errorf("the call reached the server: %v", reached)
	}
	q.URL, q.Want = issuer+"/ops", http.StatusUnauthorized
	r.request(q, bearer)
}
