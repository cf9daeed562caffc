// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/bolt"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

const (
	issuer      = "https://mcp.example.com"
	resource    = issuer + "/mcp"
	loopbackURI = "http://127.0.0.1:33418/callback"
	webURI      = "https://client.example/callback"
	verifier    = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	s256        = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // and its S256 challenge
)

// clock is the injected time of everything in a world.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }
func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a gateway over a real store, with a scripted upstream and a recording
// backend.
type world struct {
	t       *testing.T
	clock   *clock
	store   *faultyStore
	state   *gateway.State
	config  gateway.Config
	server  *gateway.Server
	up      *scriptedUpstream
	backend http.HandlerFunc
	log     *syncBuffer
}

// newWorld builds one; edit changes the configuration before it is loaded.
func newWorld(t *testing.T, edit ...func(*gateway.Config)) *world {
	t.Helper()
	c := &clock{now: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)}
	db, err := bolt.Open(filepath.Join(t.TempDir(), "state.db"), bolt.Options{Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, clock: c, store: &faultyStore{Store: db}, log: &syncBuffer{},
		up: &scriptedUpstream{name: "github", identity: octocat()},
		backend: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		},
	}
	logger := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.state = gateway.NewState(gateway.Options{
		Store: w.store, Ring: token.NewRing(token.Key{1}), Logger: logger, Now: c.Now,
	})
	t.Cleanup(func() { _ = w.state.Close() })
	w.config = gateway.Config{
		Issuer: issuer,
		Resources: []*gateway.Resource{{
			Path: "/mcp", Name: "Weather", Scopes: []string{"mcp"}, IdentityHeaders: true,
			Policy: rules(t, "user:octocat"),
		}},
		Upstreams:      []upstream.Upstream{w.up},
		AccessTokenTTL: time.Hour, RefreshTokenTTL: 90 * 24 * time.Hour, RefreshGrace: time.Minute,
		Registration: gateway.Registration{Mode: gateway.RegistrationOpen}, Logger: logger,
	}
	for _, e := range edit {
		e(&w.config)
	}
	w.reload()
	return w
}

// reload loads the configuration again over the same state, as Caddy does.
func (w *world) reload() {
	w.t.Helper()
	srv, err := gateway.New(w.state, w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.server = srv
}

func octocat() identity.Identity {
	return identity.Identity{
		Upstream: "github", Kind: identity.KindGitHub, ID: "583231", Login: "octocat", Name: "The Octocat",
		Email: "octocat@github.example", EmailVerified: true, Groups: []string{"acme", "acme/eng"},
	}
}

func rules(t *testing.T, list ...string) *policy.Policy {
	t.Helper()
	var parsed []policy.Rule
	for _, s := range list {
		r, err := policy.ParseRule(s)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, r)
	}
	p, err := policy.New(parsed, []policy.Ref{{Name: "github", Kind: identity.KindGitHub}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ServeHTTP does what the Caddy handler does.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	gateway.StripInbound(r)
	if w.server.ServeEndpoint(rw, r) {
		return
	}
	for _, res := range w.config.Resources {
		for _, p := range append([]string{res.Path}, res.Also...) {
			if lower := strings.ToLower(r.URL.Path); lower != p && !strings.HasPrefix(lower, strings.TrimSuffix(p, "/")+"/") {
				continue
			}
			err := w.server.Guard(res.Path).Serve(rw, r, p, func(rw http.ResponseWriter, r *http.Request, _ *gateway.Admitted) error {
				w.backend(rw, r)
				return nil
			})
			if unavailable := (*gateway.Unavailable)(nil); errors.As(err, &unavailable) {
				rw.WriteHeader(http.StatusServiceUnavailable)
			} else if err != nil {
				w.t.Errorf("guard: %v", err)
			}
			return
		}
	}
	rw.WriteHeader(http.StatusNotFound)
}

// do sends a request to the world's origin.
func (w *world) do(r *http.Request) *http.Response {
	w.t.Helper()
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec.Result()
}

func (w *world) get(path string, header ...string) *http.Response {
	w.t.Helper()
	return w.do(request(http.MethodGet, path, "", header...))
}

func (w *world) postForm(path string, form url.Values, header ...string) *http.Response {
	w.t.Helper()
	return w.do(request(http.MethodPost, path, form.Encode(),
		append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)...))
}

func (w *world) postJSON(path, body string, header ...string) *http.Response {
	w.t.Helper()
	return w.do(request(http.MethodPost, path, body, append([]string{"Content-Type", "application/json"}, header...)...))
}

// request builds one; header is name, value, name, value …
func request(method, path, body string, header ...string) *http.Request {
	r := httptest.NewRequest(method, issuer+path, strings.NewReader(body))
	r.RemoteAddr = "192.0.2.7:4711"
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func decode[T any](t *testing.T, r *http.Response) T {
	t.Helper()
	var v T
	b := body(t, r)
	if err := json.Unmarshal([]byte(b), &v); err != nil {
		t.Fatalf("answer is not JSON: %v\n%s", err, b)
	}
	return v
}

// register registers a public client.
func (w *world) register(redirects ...string) string {
	w.t.Helper()
	b, _ := json.Marshal(map[string]any{
		"client_name": "Test client", "redirect_uris": redirects, "token_endpoint_auth_method": "none",
	})
	resp := w.postJSON(oauth.PathRegister, string(b))
	if resp.StatusCode != http.StatusCreated {
		w.t.Fatalf("register: %d %s", resp.StatusCode, body(w.t, resp))
	}
	return decode[struct {
		ClientID string `json:"client_id"`
	}](w.t, resp).ClientID
}

// authorizeQuery is a good authorization request; override is name, value …, and
// an empty value removes the parameter.
func authorizeQuery(clientID, redirectURI string, override ...string) url.Values {
	q := url.Values{
		"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {redirectURI}, "state": {"client-state"},
		"code_challenge": {s256}, "code_challenge_method": {"S256"}, "resource": {resource}, "scope": {"mcp"},
	}
	for i := 0; i+1 < len(override); i += 2 {
		if override[i+1] == "" {
			q.Del(override[i])
		} else {
			q.Set(override[i], override[i+1])
		}
	}
	return q
}

// browser is a person's browser: it keeps cookies and fills in forms.
type browser struct {
	w       *world
	cookies map[string]*http.Cookie
}

func (w *world) browser() *browser { return &browser{w: w, cookies: map[string]*http.Cookie{}} }

func (b *browser) send(r *http.Request) *http.Response {
	b.w.t.Helper()
	for _, c := range b.cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	resp := b.w.do(r)
	for _, c := range resp.Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c
		}
	}
	return resp
}

func (b *browser) get(path string) *http.Response {
	b.w.t.Helper()
	return b.send(request(http.MethodGet, path, "", "Sec-Fetch-Site", "cross-site"))
}

func (b *browser) submit(path string, form url.Values) *http.Response {
	b.w.t.Helper()
	return b.send(request(http.MethodPost, path, form.Encode(), "Content-Type", "application/x-www-form-urlencoded",
		"Origin", issuer, "Sec-Fetch-Site", "same-origin"))
}

// form collects the fields of the first form of a page and its action.
func form(t *testing.T, page string) (action string, fields url.Values) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	fields = url.Values{}
	for n := range doc.Descendants() {
		attr := map[string]string{}
		for _, a := range n.Attr {
			attr[a.Key] = a.Val
		}
		switch {
		case n.Type == html.ElementNode && n.Data == "form" && action == "":
			action = attr["action"]
		case n.Type == html.ElementNode && n.Data == "input" && attr["name"] != "":
			if _, checked := attr["checked"]; attr["type"] != "radio" && attr["type"] != "checkbox" || checked {
				fields.Set(attr["name"], attr["value"])
			}
		}
	}
	return action, fields
}

// consent opens the authorization request and decides.
func (b *browser) consent(q url.Values, decision string) *http.Response {
	b.w.t.Helper()
	page := b.get(oauth.PathAuthorize + "?" + q.Encode())
	text := body(b.w.t, page)
	if page.StatusCode != http.StatusOK {
		b.w.t.Fatalf("authorize: %d\n%s", page.StatusCode, text)
	}
	action, fields := form(b.w.t, text)
	fields.Set("decision", decision)
	return b.submit(action, fields)
}

// upstreamState reads the state we sent upstream from the redirect there.
func upstreamState(t *testing.T, resp *http.Response) string {
	t.Helper()
	loc, err := resp.Location()
	if err != nil || resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("no redirect upstream: %d %v", resp.StatusCode, err)
	}
	return loc.Query().Get("state")
}

// signIn goes through consent and upstream and returns the answer to the client.
func (b *browser) signIn(q url.Values) *http.Response {
	b.w.t.Helper()
	state := upstreamState(b.w.t, b.consent(q, "approve"))
	return b.get(oauth.PathCallback + "github?code=upstream-code&state=" + state)
}

// code signs in and returns the authorization code.
func (b *browser) code(q url.Values) string {
	b.w.t.Helper()
	resp := b.signIn(q)
	loc, err := resp.Location()
	if err != nil || loc.Query().Get("code") == "" {
		b.w.t.Fatalf("no code: %d %s %s", resp.StatusCode, resp.Header.Get("Location"), body(b.w.t, resp))
	}
	return loc.Query().Get("code")
}

type tokens struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token"`
	Scope        string `json:"scope"`
}

type oauthError struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

func codeForm(clientID, code string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "client_id": {clientID},
		"redirect_uri": {loopbackURI}, "code_verifier": {verifier}, "resource": {resource},
	}
}

func refreshForm(clientID, refresh string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "client_id": {clientID}}
}

// tokens registers, signs in and redeems the code.
func (w *world) tokens() (clientID string, tok tokens) {
	w.t.Helper()
	clientID = w.register(loopbackURI)
	code := w.browser().code(authorizeQuery(clientID, loopbackURI))
	resp := w.postForm(oauth.PathToken, codeForm(clientID, code))
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("token: %d %s", resp.StatusCode, body(w.t, resp))
	}
	return clientID, decode[tokens](w.t, resp)
}

// call sends an authenticated request to the resource.
func (w *world) call(accessToken string, header ...string) *http.Response {
	w.t.Helper()
	return w.postJSON("/mcp", `{"jsonrpc":"2.0","id":1,"method":"ping"}`,
		append([]string{"Authorization", "Bearer " + accessToken}, header...)...)
}

// scriptedUpstream says who the user is, or why not.
type scriptedUpstream struct {
	name     string
	mu       sync.Mutex
	identity identity.Identity
	err      error
	calls    int
}

func (u *scriptedUpstream) Name() string     { return u.name }
func (u *scriptedUpstream) Kind() string     { return identity.KindGitHub }
func (u *scriptedUpstream) Label() string    { return "GitHub" }
func (u *scriptedUpstream) Scopes() []string { return []string{"read:user"} }

func (u *scriptedUpstream) AuthCodeURL(_ context.Context, r upstream.AuthRequest) (string, error) {
	q := url.Values{
		"state": {r.State}, "redirect_uri": {r.RedirectURI}, "verifier_length": {string(rune('0' + len(r.Verifier)%10))},
	}
	if r.AskAccount {
		q.Set("prompt", "select_account")
	}
	return "https://github.example/login/oauth/authorize?" + q.Encode(), nil
}

func (u *scriptedUpstream) Identify(context.Context, url.Values, string, string) (*upstream.SignIn, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.calls++
	if u.err != nil {
		return nil, u.err
	}
	return &upstream.SignIn{Identity: u.identity}, nil
}

// faultyStore fails where a test says so, as a store does that is full or away.
type faultyStore struct {
	storage.Store
	mu   sync.Mutex
	fail map[string]error
	// grantReads counts reads of grants: the hot path has none.
	grantReads int
	// onGrant, if set before the requests, runs in every read of a grant.
	onGrant func()
}

func (s *faultyStore) failOn(verb string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail == nil {
		s.fail = map[string]error{}
	}
	s.fail[verb] = err
}

func (s *faultyStore) fault(verb string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fail["*"]; err != nil {
		return err
	}
	return s.fail[verb]
}

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}
func (b *syncBuffer) String() string { b.mu.Lock(); defer b.mu.Unlock(); return b.buf.String() }
