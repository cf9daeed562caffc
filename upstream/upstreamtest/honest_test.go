// SPDX-License-Identifier: Apache-2.0

package upstreamtest_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream/upstreamtest"
)

const clientSecret = "client-secret-of-the-test"

// provider is the smallest thing that has codes, tokens that end, and people.
type provider struct {
	mu      sync.Mutex
	next    int
	codes   map[string]issuedCode
	access  map[string]string // token → person
	refresh map[string]string
	groups  map[string]string
	gone    map[string]bool
	secrets []string
}

type issuedCode struct{ person, challenge, redirectURI string }

func newProvider() *provider {
	return &provider{
		codes: map[string]issuedCode{}, access: map[string]string{}, refresh: map[string]string{},
		groups: map[string]string{"1": "staff", "2": "guests"}, gone: map[string]bool{}, secrets: []string{clientSecret},
	}
}

func (p *provider) fresh(kind string) string {
	p.next++
	s := fmt.Sprintf("%s-token-number-%d", kind, p.next)
	p.secrets = append(p.secrets, s)
	return s
}

// approve is the front channel: what the browser is sent back with.
func (p *provider) approve(authURL, person string) url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	u, _ := url.Parse(authURL)
	q := u.Query()
	code := p.fresh("code")
	p.codes[code] = issuedCode{person, q.Get("code_challenge"), q.Get("redirect_uri")}
	return url.Values{"code": {code}, "state": {q.Get("state")}}
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	person, status := "", http.StatusOK
	switch r.URL.Path {
	case "/token":
		person = p.redeem(r)
		if person == "" {
			status = http.StatusBadRequest
		}
	case "/user":
		if person = p.access[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]; person == "" || p.gone[person] {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"id": person, "group": p.groups[person]})
		return
	default:
		http.NotFound(w, r)
		return
	}
	w.WriteHeader(status)
	if status != http.StatusOK {
		_, _ = io.WriteString(w, `{"error":"invalid_grant"}`)
		return
	}
	access, refresh := p.fresh("access"), p.fresh("refresh")
	p.access[access], p.refresh[refresh] = person, person
	_ = json.NewEncoder(w).Encode(map[string]string{"access_token": access, "refresh_token": refresh})
}

func (p *provider) redeem(r *http.Request) (person string) {
	if r.FormValue("client_secret") != clientSecret {
		return ""
	}
	if old := r.FormValue("refresh_token"); old != "" {
		person = p.refresh[old]
		delete(p.refresh, old)
		if p.gone[person] {
			return ""
		}
		return person
	}
	c, ok := p.codes[r.FormValue("code")]
	delete(p.codes, r.FormValue("code"))
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if !ok || c.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) || c.redirectURI != r.FormValue("redirect_uri") {
		return ""
	}
	return c.person
}

// honest is an upstream that keeps the contract, except where flaw says otherwise.
type honest struct {
	base   string
	client *http.Client
	log    *slog.Logger
	flaw   string
}

func (h *honest) Name() string     { return "idp" }
func (h *honest) Kind() string     { return identity.KindOIDC }
func (h *honest) Label() string    { return "The provider" }
func (h *honest) Scopes() []string { return []string{"one"} }
func (h *honest) NeedsToken() bool { return true }

func (h *honest) AuthCodeURL(_ context.Context, r upstream.AuthRequest) (string, error) {
	sum := sha256.Sum256([]byte(r.Verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {"client"}, "scope": {"one"}, "state": {r.State}, "redirect_uri": {r.RedirectURI},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	if r.AskAccount && h.flaw != "never asks for the account" {
		q.Set("prompt", "select_account")
	}
	if h.flaw == "plain challenge" {
		q.Set("code_challenge", r.Verifier)
	}
	return h.base + "/authorize?" + q.Encode(), nil
}

func (h *honest) Identify(ctx context.Context, callback url.Values, verifier, redirectURI string) (*upstream.SignIn, error) {
	if reason, err := h.callback(callback); err != nil {
		return nil, upstream.Refuse(reason, "callback: %w", err)
	}
	form := url.Values{"code": {callback.Get("code")}, "code_verifier": {verifier}, "redirect_uri": {redirectURI}}
	tok, err := h.token(ctx, form, upstream.ReasonInvalid)
	if err != nil {
		return nil, err
	}
	id, err := h.user(ctx, tok)
	if err != nil {
		return nil, err
	}
	return &upstream.SignIn{Identity: id, Token: tok}, nil
}

func (h *honest) callback(v url.Values) (upstream.Reason, error) {
	if h.flaw == "first parameter counts" && v.Get("code") != "" && !v.Has("error") && !v.Has("iss") && len(v.Get("code")) < 2000 {
		return "", nil
	}
	for _, name := range []string{"code", "state", "error", "iss"} {
		if len(v[name]) > 1 {
			return upstream.ReasonInvalid, errors.New("a parameter twice")
		}
	}
	switch {
	case v.Has("iss") || v.Has("code") && v.Has("error") || len(v.Get("code")) > 2000:
		return upstream.ReasonInvalid, errors.New("not from the provider")
	case v.Get("error") == "access_denied":
		return upstream.ReasonDenied, errors.New("denied")
	case v.Get("error") == "server_error" || v.Get("error") == "temporarily_unavailable":
		return upstream.ReasonUnavailable, errors.New("in trouble")
	case v.Has("error") && h.flaw == "quotes the description":
		return upstream.ReasonMisconfigured, errors.New(v.Get("error_description"))
	case v.Has("error"):
		return upstream.ReasonMisconfigured, errors.New("refused")
	case v.Get("code") == "":
		return upstream.ReasonInvalid, errors.New("no code")
	}
	return "", nil
}

func (h *honest) token(ctx context.Context, form url.Values, refused upstream.Reason) (*upstream.Token, error) {
	form.Set("client_secret", clientSecret)
	var answer struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	status, err := h.do(ctx, http.MethodPost, "/token", form.Encode(), "", &answer)
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusBadRequest:
		return nil, upstream.Refuse(refused, "token refused")
	case answer.Access == "":
		return nil, upstream.Refuse(upstream.ReasonUnavailable, "no token in the answer")
	}
	if h.flaw == "logs the token" {
		h.log.Debug("got", "token", answer.Access)
	}
	return &upstream.Token{Access: answer.Access, Refresh: answer.Refresh}, nil
}

var errUnauthorized = errors.New("unauthorized")

func (h *honest) user(ctx context.Context, tok *upstream.Token) (identity.Identity, error) {
	var answer struct{ ID, Group string }
	status, err := h.do(ctx, http.MethodGet, "/user", "", tok.Access, &answer)
	switch {
	case err != nil && h.flaw == "groups are optional":
		return identity.Identity{Upstream: "idp", Kind: identity.KindOIDC, ID: "1"}, nil
	case err != nil:
		return identity.Identity{}, err
	case status == http.StatusUnauthorized:
		return identity.Identity{}, upstream.Refuse(upstream.ReasonRevoked, "%w", errUnauthorized)
	case answer.ID == "":
		return identity.Identity{}, upstream.Refuse(upstream.ReasonUnavailable, "no id in the answer")
	}
	return identity.Identity{Upstream: "idp", Kind: identity.KindOIDC, ID: answer.ID, Groups: []string{answer.Group}}, nil
}

// do makes one request. status is 200, 400 or 401 without error.
func (h *honest) do(ctx context.Context, method, path, form, bearer string, into any) (int, error) {
	req, err := http.NewRequestWithContext(ctx, method, h.base+path, nil)
	if err != nil {
		return 0, upstream.Refuse(upstream.ReasonUnavailable, "%w", err)
	}
	if form != "" {
		req.Body = io.NopCloser(strings.NewReader(form))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if bearer != "" {
		if !visible(bearer) {
			return 0, upstream.Refuse(upstream.ReasonSignInNeeded, "not a token")
		}
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := h.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return 0, upstream.Refuse(upstream.ReasonUnavailable, "%w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return 0, upstream.Refuse(upstream.ReasonUnavailable, "reading: %w", err)
	}
	return h.read(resp, body, into)
}

func (h *honest) read(resp *http.Response, body []byte, into any) (int, error) {
	switch resp.StatusCode {
	case http.StatusOK:
		if err := json.Unmarshal(body, into); err != nil {
			if h.flaw == "quotes the body" {
				err = errors.New(string(body))
			}
			return 0, upstream.Refuse(upstream.ReasonUnavailable, "not the JSON of the provider: %w", err)
		}
		return resp.StatusCode, nil
	case http.StatusBadRequest, http.StatusUnauthorized:
		return resp.StatusCode, nil
	}
	reason := upstream.ReasonUnavailable
	if h.flaw == "trouble is a revocation" {
		reason = upstream.ReasonRevoked
	}
	refusal := upstream.Refuse(reason, "status %d", resp.StatusCode)
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && h.flaw != "forgets when to ask again" {
		refusal.RetryAfter = time.Duration(s) * time.Second
	}
	return 0, refusal
}

func (h *honest) Check(
	ctx context.Context, last identity.Identity, tok *upstream.Token, save func(*upstream.Token) error,
) (identity.Identity, error) {
	if tok == nil || tok.Access == "" {
		return identity.Identity{}, upstream.Refuse(upstream.ReasonSignInNeeded, "no token")
	}
	id, err := h.user(ctx, tok)
	if errors.Is(err, errUnauthorized) {
		if id, err = h.renewed(ctx, tok, save); err != nil {
			return identity.Identity{}, err
		}
	}
	if err != nil {
		return identity.Identity{}, err
	}
	if id.ID != last.ID && h.flaw != "believes any token" {
		return identity.Identity{}, upstream.Refuse(upstream.ReasonSignInNeeded, "the token is somebody else's")
	}
	return id, nil
}

func (h *honest) renewed(ctx context.Context, tok *upstream.Token, save func(*upstream.Token) error) (identity.Identity, error) {
	next, err := h.Refresh(ctx, tok)
	if err != nil {
		return identity.Identity{}, err
	}
	if h.flaw == "saves late" {
		if id, err := h.user(ctx, next); err != nil {
			return id, err
		}
	}
	if err := save(next); err != nil && h.flaw != "goes on unsaved" {
		return identity.Identity{}, upstream.Refuse(upstream.ReasonUnavailable, "saving: %w", err)
	}
	return h.user(ctx, next)
}

func (h *honest) Refresh(ctx context.Context, tok *upstream.Token) (*upstream.Token, error) {
	if tok == nil || tok.Refresh == "" {
		return nil, upstream.Refuse(upstream.ReasonSignInNeeded, "nothing to renew with")
	}
	if h.flaw == "plain error" {
		return nil, errors.New("not a refusal")
	}
	return h.token(ctx, url.Values{"refresh_token": {tok.Refresh}}, upstream.ReasonRevoked)
}

func startHonest(flaw string) func(*testing.T, upstreamtest.Config) *upstreamtest.World {
	return func(t *testing.T, c upstreamtest.Config) *upstreamtest.World {
		front, idp := upstreamtest.NewProvider(t), newProvider()
		front.Serve(idp)
		timeout := c.Timeout
		if timeout == 0 {
			timeout = 30 * time.Second
		}
		client := &http.Client{Timeout: timeout, Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}}
		if flaw == "follows redirects" {
			client.CheckRedirect = nil
		}
		t.Cleanup(client.CloseIdleConnections)
		ids := [2]string{"1", "2"}
		on := func(who upstreamtest.Person, f func(string)) {
			idp.mu.Lock()
			defer idp.mu.Unlock()
			f(ids[who])
		}
		end := func(tokens map[string]string, person string) {
			for tok, of := range tokens {
				if of == person {
					delete(tokens, tok)
				}
			}
		}
		return &upstreamtest.World{
			Upstream: &honest{base: front.URL, client: client, log: c.Logger, flaw: flaw},
			Provider: front,
			People: [2]identity.Identity{
				{Upstream: "idp", Kind: identity.KindOIDC, ID: "1"}, {Upstream: "idp", Kind: identity.KindOIDC, ID: "2"},
			},
			RedirectURI: "https://mcp.example.com/callback/idp",
			Approve:     func(_ *testing.T, to string, who upstreamtest.Person) url.Values { return idp.approve(to, ids[who]) },
			Deny: func(*testing.T, string, upstreamtest.Person) url.Values {
				return url.Values{"error": {"access_denied"}}
			},
			SignInPaths: []string{"/token", "/user"}, CheckPaths: []string{"/user"}, RefreshPaths: []string{"/token"},
			Remove: func(_ *testing.T, who upstreamtest.Person) { on(who, func(p string) { idp.gone[p] = true }) },
			Change: func(_ *testing.T, who upstreamtest.Person) { on(who, func(p string) { idp.groups[p] = "other" }) },
			TakeBack: func(_ *testing.T, who upstreamtest.Person) {
				on(who, func(p string) { end(idp.access, p); end(idp.refresh, p) })
			},
			Expire:  func(_ *testing.T, who upstreamtest.Person) { on(who, func(p string) { end(idp.access, p) }) },
			Secrets: func() []string { idp.mu.Lock(); defer idp.mu.Unlock(); return append([]string(nil), idp.secrets...) },
		}
	}
}
