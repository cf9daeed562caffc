// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
)

const (
	// redirectURI is where a client wants its codes. Nothing listens there: its
	// browser stops before it.
	redirectURI = "http://127.0.0.1:1/callback"
	verifier    = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	challenge   = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// route chooses the gateway for a path; "" leaves it to the load balancer.
type route func(path string) string

// at sends everything to one gateway.
func at(name string) route { return func(string) string { return name } }

// client is an OAuth client with its browser. It fails no test, and may be used from
// any goroutine: what it gets, it returns.
type client struct {
	origin string
	route  route
	jar    http.CookieJar
	// id and manage are what registration brought: the latter is the token with which
	// the client may delete itself (RFC 7592).
	id, manage string
}

// newClient is a client that is not registered yet, at a browser that knows nobody.
func (c *cluster) newClient() client {
	return client{origin: c.origin, route: at("")}.elsewhere()
}

// via is the same client, sent to other gateways.
func (c client) via(r route) client {
	c.route = r
	return c
}

// elsewhere is the same client at another browser.
func (c client) elsewhere() client {
	c.jar, _ = cookiejar.New(nil) // never fails without options
	return c
}

// base carries everything to the load balancer and to GitHub.
var base = &http.Transport{MaxIdleConnsPerHost: 64}

// RoundTrip implements http.RoundTripper: it marks where a request goes.
func (c client) RoundTrip(r *http.Request) (*http.Response, error) {
	if name := c.route(r.URL.Path); name != "" && strings.HasPrefix(r.URL.String(), c.origin) {
		r = r.Clone(r.Context())
		r.Header.Set(headerTo, name)
	}
	return base.RoundTrip(r)
}

// answer is what came back, read to the end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// settled reports whether the gateway decided. Otherwise it did not answer, or said
// that it does not know (503): it may have done what it was asked for.
func (a answer) settled() bool { return a.status != 0 && a.status < 500 }

func (c client) send(ctx context.Context, method, path string, body []byte, header http.Header) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.origin+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header = header
	return read(c.RoundTrip(req))
}

// read takes an answer. No answer is none, and not an error: the ledger knows what
// follows from it.
func read(resp *http.Response, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	if resp.Header.Get(headerNoAnswer) != "" {
		return answer{}, nil
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, nil //nolint:nilerr // cut off in the middle: no answer
	}
	return answer{resp.StatusCode, resp.Header, body}, nil
}

func (c client) post(ctx context.Context, path string, form url.Values) (answer, error) {
	return c.send(ctx, http.MethodPost, path, []byte(form.Encode()),
		http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
}

// register registers a public client (RFC 7591) and returns it with its id.
func (c client) register(ctx context.Context) (client, answer, error) {
	body, err := json.Marshal(map[string]any{
		"client_name": "Cluster test", "redirect_uris": []string{redirectURI}, "token_endpoint_auth_method": "none",
	})
	if err != nil {
		return c, answer{}, err
	}
	a, err := c.send(ctx, http.MethodPost, "/register", body, http.Header{"Content-Type": {"application/json"}})
	if err != nil || a.status != http.StatusCreated {
		return c, a, err
	}
	var r struct {
		ID     string `json:"client_id"`
		Manage string `json:"registration_access_token"`
	}
	err = json.Unmarshal(a.body, &r)
	c.id, c.manage = r.ID, r.Manage
	return c, a, err
}

// unregister deletes the client and all its grants (RFC 7592 §2.3).
func (c client) unregister(ctx context.Context) (answer, error) {
	return c.send(ctx, http.MethodDelete, "/register/"+c.id, nil, http.Header{"Authorization": {"Bearer " + c.manage}})
}

// tokens are a client's, as it last got them.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

func (c client) token(ctx context.Context, form url.Values) (tokens, answer, error) {
	form.Set("client_id", c.id)
	a, err := c.post(ctx, "/token", form)
	var got tokens
	if err == nil && a.status == http.StatusOK {
		err = json.Unmarshal(a.body, &got)
	}
	return got, a, err
}

// redeem exchanges a code.
func (c client) redeem(ctx context.Context, code string) (tokens, answer, error) {
	return c.token(ctx, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier},
	})
}

func (c client) refresh(ctx context.Context, token string) (tokens, answer, error) {
	return c.token(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

// revoke ends the grant of a token (RFC 7009).
func (c client) revoke(ctx context.Context, token string) (answer, error) {
	return c.post(ctx, "/revoke", url.Values{"token": {token}, "client_id": {c.id}})
}

// call uses the resource.
func (c client) call(ctx context.Context, access string) (answer, error) {
	return c.callIn(ctx, access, "")
}

// callIn uses the resource in a session of the backend's.
func (c client) callIn(ctx context.Context, access, session string) (answer, error) {
	header := http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Authorization": {"Bearer " + access},
	}
	if session != "" {
		header.Set("Mcp-Session-Id", session)
	}
	return c.send(ctx, http.MethodPost, "/mcp", []byte(`{"jsonrpc":"2.0","id":1,"method":"ping"}`), header)
}

// stream opens an event stream and returns once its first event came. The channel
// is closed when it ends.
func (c client) stream(ctx context.Context, access string) (ended <-chan struct{}, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.origin+"/mcp", nil)
	if err != nil {
		return nil, err
	}
	req.Header = http.Header{"Accept": {"text/event-stream"}, "Authorization": {"Bearer " + access}}
	resp, err := c.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, len("data: open\n\n"))); err != nil || resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("stream: %s: %w", resp.Status, err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body) // how it ends does not matter
	}()
	return over, nil
}

// Shorthands for tests in which nothing is broken.

func (c *cluster) mustRegister(t *testing.T, r route) client {
	t.Helper()
	registered, a, err := c.newClient().via(r).register(t.Context())
	if err != nil || a.status != http.StatusCreated {
		t.Fatalf("register: %d, %v", a.status, err)
	}
	return registered
}

// mustSignIn brings a registered client its first tokens.
func (c client) mustSignIn(t *testing.T) tokens {
	t.Helper()
	code, stop, err := c.signIn(t.Context())
	if err != nil || code == "" {
		t.Fatalf("the sign-in ended at %v, %v", stop, err)
	}
	got, a, err := c.redeem(t.Context(), code)
	if err != nil || a.status != http.StatusOK {
		t.Fatalf("redeem: %d %s, %v", a.status, a.body, err)
	}
	return got
}

// mustGet wants a status for a call with the token.
func (c client) mustGet(t *testing.T, access string, want int) {
	t.Helper()
	if got := c.status(t, access); got != want {
		t.Fatalf("a call at %q: %d, want %d", c.route("/mcp"), got, want)
	}
}

func (c client) status(t *testing.T, access string) int {
	t.Helper()
	a, err := c.call(t.Context(), access)
	if err != nil {
		t.Fatal(err)
	}
	return a.status
}
