// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"html"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

const privateURI = "cursor://anysphere.cursor-mcp/oauth/callback"

// errDisk is what a store says that is full or away.
var errDisk = errors.New("no space left on device")

// wantPage checks that an answer is one of our pages, with every header a page
// has and none it must not have, and returns its text. An empty reason is not
// looked for.
func wantPage(t *testing.T, resp *http.Response, status int, reason string) string {
	t.Helper()
	text := body(t, resp)
	if resp.StatusCode != status {
		t.Fatalf("status %d, want %d: %s %s", resp.StatusCode, status, resp.Header.Get("Location"), text)
	}
	if reason != "" && !strings.Contains(text, "<code>"+reason+"</code>") {
		t.Errorf("page does not give the reason %q:\n%s", reason, text)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Location": "",
		"Access-Control-Allow-Origin": "", "Access-Control-Allow-Credentials": "", "Access-Control-Expose-Headers": "",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	csp := resp.Header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") ||
		strings.Contains(csp, "form-action") || strings.Contains(csp, "unsafe") {
		t.Errorf("Content-Security-Policy: %q", csp)
	}
	return text
}

// wantError checks an OAuth error of a JSON endpoint (R7.2) and returns it.
func wantError(t *testing.T, resp *http.Response, status int, code string) oauthError {
	t.Helper()
	e := decode[oauthError](t, resp)
	if resp.StatusCode != status || e.Error != code {
		t.Errorf("got %d %+v, want %d %s", resp.StatusCode, e, status, code)
	}
	if strings.ContainsAny(e.Description, "\"\\\n") {
		t.Errorf("error_description %q has a character RFC 6749 does not allow", e.Description)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
		"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	return e
}

// location is where a redirect goes. It must be a 303, uncached, and not leak the
// page it comes from.
func location(t *testing.T, resp *http.Response) *url.URL {
	t.Helper()
	loc, err := resp.Location()
	if err != nil || resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("no redirect: %d %v %s", resp.StatusCode, err, body(t, resp))
	}
	if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Referrer-Policy") != "no-referrer" ||
		resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("redirect headers %v", resp.Header)
	}
	return loc
}

// wantOnce checks parameters of an authorization response: each of want exactly
// once, iss always (RFC 9207), nothing else.
func wantOnce(t *testing.T, loc *url.URL, want map[string]string) {
	t.Helper()
	q, err := url.ParseQuery(loc.RawQuery)
	if err != nil {
		t.Fatal(err)
	}
	want["iss"] = issuer
	for name, value := range want {
		if got := q[name]; len(got) != 1 || value != "*" && got[0] != value {
			t.Errorf("%s: %q, want %q exactly once, in %s", name, got, value, loc)
		}
	}
	for name := range q {
		if _, ok := want[name]; !ok {
			t.Errorf("unexpected parameter %s in %s", name, loc)
		}
	}
}

// backLink is the address of the one link of a page.
func backLink(t *testing.T, page string) *url.URL {
	t.Helper()
	const before = `<a class="button" href="`
	_, rest, ok := strings.Cut(page, before)
	href, _, _ := strings.Cut(rest, `"`)
	if !ok || strings.Contains(rest, before) {
		t.Fatalf("want exactly one link:\n%s", page)
	}
	u, err := url.Parse(html.UnescapeString(href))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// open opens an authorization request and returns the consent form.
func (b *browser) open(q url.Values) (action string, fields url.Values) {
	b.w.t.Helper()
	return form(b.w.t, wantPage(b.w.t, b.get(oauth.PathAuthorize+"?"+q.Encode()), http.StatusOK, ""))
}

// approve presses Continue on a form that was opened before.
func (b *browser) approve(action string, fields url.Values) *http.Response {
	b.w.t.Helper()
	fields = cloneForm(fields)
	fields.Set("decision", "approve")
	return b.submit(action, fields)
}

func (b *browser) callback(state string) *http.Response {
	b.w.t.Helper()
	return b.get(oauth.PathCallback + "github?code=upstream-code&state=" + state)
}

func cloneForm(v url.Values) url.Values {
	out := url.Values{}
	for name, values := range v {
		out[name] = append([]string(nil), values...)
	}
	return out
}

// with returns a form with fields replaced; an empty value removes one.
func with(v url.Values, override ...string) url.Values {
	v = cloneForm(v)
	for i := 0; i+1 < len(override); i += 2 {
		if override[i+1] == "" {
			v.Del(override[i])
		} else {
			v.Set(override[i], override[i+1])
		}
	}
	return v
}

// registered is what a registration answers.
type registered struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	Method       string `json:"token_endpoint_auth_method"`
}

// registerAs registers a client with an authentication method.
func (w *world) registerAs(method string, redirects ...string) registered {
	w.t.Helper()
	b, err := json.Marshal(map[string]any{
		"client_name": "Test client", "redirect_uris": redirects, "token_endpoint_auth_method": method,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	resp := w.postJSON(oauth.PathRegister, string(b))
	if resp.StatusCode != http.StatusCreated {
		w.t.Fatalf("register: %d %s", resp.StatusCode, body(w.t, resp))
	}
	return decode[registered](w.t, resp)
}

// redeem redeems a code and must succeed.
func (w *world) redeem(f url.Values, header ...string) tokens {
	w.t.Helper()
	return w.wantTokens(w.postForm(oauth.PathToken, f, header...))
}

func (w *world) wantTokens(resp *http.Response) tokens {
	w.t.Helper()
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("token: %d %s", resp.StatusCode, body(w.t, resp))
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Cache-Control": "no-store", "Access-Control-Allow-Origin": "*",
	} {
		if got := resp.Header.Get(name); got != want {
			w.t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	return decode[tokens](w.t, resp)
}

// wantCall checks whether an access token is good for a resource.
func (w *world) wantCall(path, accessToken string, status int) {
	w.t.Helper()
	resp := w.postJSON(path, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, "Authorization", "Bearer "+accessToken)
	if resp.StatusCode != status {
		w.t.Errorf("call of %s: %d, want %d", path, resp.StatusCode, status)
	}
}

// observed puts a recorder between the faults and the real store.
func (w *world) observed() *recordingStore {
	r := &recordingStore{Store: w.store.Store, calls: map[string]int{}}
	w.store.Store = r
	return r
}

// recordingStore counts verbs that write and keeps all that was ever to be
// written, to be searched for what must not be at rest.
type recordingStore struct {
	storage.Store
	mu      sync.Mutex
	calls   map[string]int
	written strings.Builder
}

func (s *recordingStore) note(verb string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[verb]++
	b, _ := json.Marshal(args)
	s.written.Write(b)
}

func (s *recordingStore) count(verb string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[verb]
}

func (s *recordingStore) atRest() string { s.mu.Lock(); defer s.mu.Unlock(); return s.written.String() }

func (s *recordingStore) CreateClient(ctx context.Context, c *storage.Client) error {
	s.note("CreateClient", c)
	return s.Store.CreateClient(ctx, c)
}

func (s *recordingStore) CreatePending(ctx context.Context, p *storage.Pending) error {
	s.note("CreatePending", p)
	return s.Store.CreatePending(ctx, p)
}

func (s *recordingStore) SaveAccount(ctx context.Context, a *storage.Account) error {
	s.note("SaveAccount", a)
	return s.Store.SaveAccount(ctx, a)
}

func (s *recordingStore) CreateGrant(ctx context.Context, g *storage.Grant) error {
	s.note("CreateGrant", g)
	return s.Store.CreateGrant(ctx, g)
}

func (s *recordingStore) RedeemCode(ctx context.Context, issuer, id string, r storage.Redemption) (*storage.Grant, error) {
	g, err := s.Store.RedeemCode(ctx, issuer, id, r)
	s.note("RedeemCode", r, g)
	return g, err
}

func (s *recordingStore) RotateRefresh(ctx context.Context, issuer, id string, r storage.Rotation) (*storage.Rotated, error) {
	out, err := s.Store.RotateRefresh(ctx, issuer, id, r)
	s.note("RotateRefresh", r, out)
	return out, err
}

func (s *recordingStore) RevokeGrant(ctx context.Context, issuer, id string) error {
	s.note("RevokeGrant", id)
	return s.Store.RevokeGrant(ctx, issuer, id)
}

// twoResources is a configuration with a second resource, which has a further path.
func twoResources(t *testing.T) func(*gateway.Config) {
	t.Helper()
	return func(c *gateway.Config) {
		c.Resources = append(c.Resources, &gateway.Resource{
			Path: "/ops", Name: "Operations", Also: []string{"/sse", "/messages"}, Scopes: []string{"read", "write"},
			Policy: rules(t, "user:octocat"),
		})
	}
}

// limits sets one limit, per minute.
func limits(which string, n int) func(*gateway.Config) {
	rate := gateway.Rate{Events: n, Per: time.Minute}
	return func(c *gateway.Config) {
		switch which {
		case "registrations":
			c.Limits.Registrations = rate
		case "authorizations":
			c.Limits.Authorizations = rate
		case "tokens":
			c.Limits.Tokens = rate
		default:
			panic("no limit " + which)
		}
	}
}

// withUpstream adds a further GitHub, and rules that name both.
func withUpstream(up upstream.Upstream) func(*gateway.Config) {
	return func(c *gateway.Config) {
		c.Upstreams = append(c.Upstreams, up)
		rule, err := policy.ParseRule("any")
		if err != nil {
			panic(err)
		}
		refs := []policy.Ref{{Name: "github", Kind: identity.KindGitHub}, {Name: up.Name(), Kind: up.Kind()}}
		p, err := policy.New([]policy.Rule{rule}, refs)
		if err != nil {
			panic(err)
		}
		for _, r := range c.Resources {
			r.Policy = p
		}
	}
}
