// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/bolt"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// fuzzGateway is a world that lives as long as the fuzzing, with three clients.
type fuzzGateway struct {
	server                 *gateway.Server
	loopback, web, private string
}

func newFuzzGateway(f *testing.F) *fuzzGateway {
	f.Helper()
	db, err := bolt.Open(filepath.Join(f.TempDir(), "state.db"), bolt.Options{})
	if err != nil {
		f.Fatal(err)
	}
	st := gateway.NewState(gateway.Options{Store: db, Ring: token.NewRing(token.Key{1})})
	f.Cleanup(func() { _ = st.Close() })
	rule, err := policy.ParseRule("any")
	if err != nil {
		f.Fatal(err)
	}
	anybody, err := policy.New([]policy.Rule{rule}, []policy.Ref{{Name: "github", Kind: identity.KindGitHub}})
	if err != nil {
		f.Fatal(err)
	}
	g := &fuzzGateway{}
	g.server, err = gateway.New(st, gateway.Config{
		Issuer:         issuer,
		Resources:      []*gateway.Resource{{Path: "/mcp", Scopes: []string{"mcp"}, Policy: anybody}},
		Upstreams:      []upstream.Upstream{&scriptedUpstream{name: "github", identity: octocat()}},
		AccessTokenTTL: time.Hour, RefreshTokenTTL: time.Hour,
		Registration: gateway.Registration{Mode: gateway.RegistrationOpen},
	})
	if err != nil {
		f.Fatal(err)
	}
	for uri, id := range map[string]*string{loopbackURI: &g.loopback, webURI: &g.web, privateURI: &g.private} {
		resp := g.send(http.MethodPost, oauth.PathRegister, "",
			`{"redirect_uris":["`+uri+`"],"token_endpoint_auth_method":"none"}`, "Content-Type", "application/json")
		var c registered
		if err := json.NewDecoder(resp.Body).Decode(&c); err != nil || c.ClientID == "" {
			f.Fatalf("register: %d %v", resp.StatusCode, err)
		}
		*id = c.ClientID
	}
	return g
}

// send sends what no client library would let through: any query, any body.
func (g *fuzzGateway) send(method, path, query, text string, header ...string) *http.Response {
	r := request(method, path, text, header...)
	r.URL.RawQuery = query
	return g.record(r)
}

func (g *fuzzGateway) record(r *http.Request) *http.Response {
	rec := httptest.NewRecorder()
	g.server.ServeEndpoint(rec, r)
	return rec.Result()
}

const formEncoded = "application/x-www-form-urlencoded"

// begin approves a request and returns the browser's cookies and what is needed
// to go on.
func (g *fuzzGateway) begin(fail func(...any)) (cookies, form, state string) {
	page := g.send(http.MethodGet, oauth.PathAuthorize, authorizeQuery(g.loopback, loopbackURI).Encode(), "")
	rec := new(strings.Builder)
	buf := make([]byte, 1<<16)
	for {
		n, err := page.Body.Read(buf)
		rec.Write(buf[:n])
		if err != nil {
			break
		}
	}
	field := func(name string) string {
		m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(rec.String())
		if m == nil {
			fail("no consent form")
			return ""
		}
		return html.UnescapeString(m[1])
	}
	form = url.Values{"request": {field("request")}, "csrf": {field("csrf")}, "decision": {"approve"}}.Encode()
	cookies = cookieHeader(page)
	approved := g.send(http.MethodPost, oauth.PathAuthorize+"/consent", "", form, "Content-Type", formEncoded, "Cookie", cookies)
	loc, err := approved.Location()
	if err != nil {
		fail("not approved", approved.StatusCode)
		return "", "", ""
	}
	return cookies + "; " + cookieHeader(approved), form, loc.Query().Get("state")
}

func cookieHeader(resp *http.Response) string {
	var pairs []string
	for _, c := range resp.Cookies() {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	return strings.Join(pairs, "; ")
}

var links = regexp.MustCompile(`href="([^"]*)"`)

// checkPage is what must hold for every answer of a page, whatever came in: no
// 5xx, and a way on only to where a client is registered, or to the upstream.
func checkPage(t *testing.T, resp *http.Response, text string) {
	t.Helper()
	if resp.StatusCode >= 500 || resp.StatusCode < 200 {
		t.Fatalf("status %d: %s", resp.StatusCode, text)
	}
	targets := []string{}
	if loc := resp.Header.Get("Location"); loc != "" {
		targets = append(targets, loc)
	}
	for _, m := range links.FindAllStringSubmatch(text, -1) {
		targets = append(targets, html.UnescapeString(m[1]))
	}
	for _, target := range targets {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatalf("target %q: %v", target, err)
		}
		ours := u.Scheme == "http" && u.Hostname() == "127.0.0.1" && u.Path == "/callback" ||
			strings.HasPrefix(target, webURI+"?") || strings.HasPrefix(target, privateURI+"?")
		if !ours && !strings.HasPrefix(target, "https://github.example/login/oauth/authorize?") {
			t.Fatalf("leads to %q", target)
		}
		if q := u.Query(); ours && (len(q["iss"]) != 1 || q.Get("iss") != issuer || len(q["state"]) > 1 || len(q["code"])+len(q["error"]) != 1) {
			t.Fatalf("response %q", target)
		}
	}
	if resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Fatal("CORS on a page")
	}
	if strings.Contains(text, "<script") {
		t.Fatal("script on a page")
	}
}

// FuzzAuthorize feeds the authorization endpoint queries, and the same as a body.
func FuzzAuthorize(f *testing.F) {
	g := newFuzzGateway(f)
	ids := strings.NewReplacer("LOOPBACK", g.loopback, "WEB", g.web, "PRIVATE", g.private)
	for client, uri := range map[string]string{"LOOPBACK": loopbackURI, "WEB": webURI, "PRIVATE": privateURI} {
		q := authorizeQuery(client, uri).Encode()
		for _, also := range []string{"", "&state=x", "&scope=%22", "&resource=https://evil.example", "&response_type=token", ";", "&%zz", "&redirect_uri=https://evil.example"} {
			f.Add(q + also)
		}
	}
	f.Add("client_id=LOOPBACK&redirect_uri=http://127.0.0.1:1/callback%0d%0aSet-Cookie:a=b")
	f.Add("client_id=WEB&redirect_uri=https://client.example/callback%23@evil.example&error=x")
	f.Fuzz(func(t *testing.T, query string) {
		query = ids.Replace(query)
		for _, resp := range []*http.Response{
			g.send(http.MethodGet, oauth.PathAuthorize, query, ""),
			g.send(http.MethodPost, oauth.PathAuthorize, "", query, "Content-Type", formEncoded),
		} {
			checkPage(t, resp, body(t, resp))
		}
	})
}

// FuzzConsent feeds the consent endpoint forms, from a browser that has one.
func FuzzConsent(f *testing.F) {
	g := newFuzzGateway(f)
	cookies, form, _ := g.begin(f.Fatal)
	for _, also := range []string{"", "&decision=deny", "&upstream=x", "&request=x", "&csrf=", "&%00=", "&upstream=github"} {
		f.Add("FORM" + also)
	}
	f.Add(strings.Repeat("a=b&", 200))
	f.Add("request=x&csrf=y&decision=approve")
	deny := strings.Replace(form, "approve", "deny", 1)
	f.Fuzz(func(t *testing.T, text string) {
		for _, good := range []string{form, deny} {
			resp := g.send(http.MethodPost, oauth.PathAuthorize+"/consent", "", strings.ReplaceAll(text, "FORM", good),
				"Content-Type", formEncoded, "Cookie", cookies)
			checkPage(t, resp, body(t, resp))
		}
	})
}

// FuzzCallback feeds the callback queries, from the browser that may call it.
func FuzzCallback(f *testing.F) {
	g := newFuzzGateway(f)
	cookies, _, state := g.begin(f.Fatal)
	for _, q := range []string{
		"code=x&state=STATE", "error=access_denied&state=STATE", "state=STATE&state=STATE", "state=x", "", "state=STATE;code=x",
		"code=x&state=STATE&iss=https://evil.example", "%zz&state=STATE", "state=%53TATE", "redirect_uri=https://evil.example&state=STATE",
	} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		resp := g.send(http.MethodGet, oauth.PathCallback+"github", strings.ReplaceAll(query, "STATE", state), "", "Cookie", cookies)
		checkPage(t, resp, body(t, resp))
		if resp.StatusCode == http.StatusSeeOther {
			cookies, _, state = g.begin(t.Fatal) // that one is over
		}
	})
}

// FuzzToken feeds the token endpoint forms. Whatever comes in, the answer is one
// of the codes clients know, and tokens come out only for what is good.
func FuzzToken(f *testing.F) {
	g := newFuzzGateway(f)
	cookies, _, state := g.begin(f.Fatal)
	loc, err := g.send(http.MethodGet, oauth.PathCallback+"github", "code=x&state="+state, "", "Cookie", cookies).Location()
	if err != nil {
		f.Fatal(err)
	}
	resp := g.send(http.MethodPost, oauth.PathToken, "", codeForm(g.loopback, loc.Query().Get("code")).Encode(), "Content-Type", formEncoded)
	var tok tokens
	if err := json.NewDecoder(resp.Body).Decode(&tok); err != nil || tok.RefreshToken == "" {
		f.Fatal(err)
	}
	real := strings.NewReplacer("REFRESH", tok.RefreshToken, "CODE", loc.Query().Get("code"), "CLIENT", g.loopback, "OTHER", g.web)
	f.Add(refreshForm("CLIENT", "REFRESH").Encode(), "")
	f.Add(refreshForm("OTHER", "REFRESH").Encode(), "Basic x")
	f.Add(codeForm("CLIENT", "CODE").Encode(), "Basic bWNwYzo=")
	f.Add(codeForm("CLIENT", "CODE").Encode()+"&code_verifier=x", "Bearer x")
	f.Add("grant_type=refresh_token&refresh_token=mcprt_.&client_id=CLIENT&scope=%22&resource=//", "")
	f.Add("grant_type=authorization_code&code=mcpac_a.b&client_id=CLIENT&code_verifier="+verifier, "")
	known := []string{
		"invalid_request", "invalid_client", "invalid_grant", "unsupported_grant_type", "invalid_scope", "invalid_target",
	}
	f.Fuzz(func(t *testing.T, text, authorization string) {
		text = real.Replace(text)
		header := []string{"Content-Type", formEncoded}
		if authorization != "" {
			header = append(header, "Authorization", authorization)
		}
		resp := g.send(http.MethodPost, oauth.PathToken, "", text, header...)
		raw := body(t, resp)
		var answer struct {
			Error       string `json:"error"`
			AccessToken string `json:"access_token"`
		}
		if err := json.Unmarshal([]byte(raw), &answer); err != nil {
			t.Fatalf("%d %q: %v", resp.StatusCode, raw, err)
		}
		switch {
		case resp.StatusCode == http.StatusOK:
			if !strings.Contains(text, tok.RefreshToken[30:]) && !strings.Contains(text, "%") {
				t.Fatalf("tokens for %q", text)
			}
		case resp.StatusCode >= 500 || !slices.Contains(known, answer.Error) || answer.AccessToken != "":
			t.Fatalf("%d %q", resp.StatusCode, raw)
		}
	})
}

// FuzzRegister feeds the registration endpoint documents. Whatever it accepts can
// be asked about on a consent page, and is no address that runs or reads anything.
func FuzzRegister(f *testing.F) {
	g := newFuzzGateway(f)
	for _, c := range mcpClients {
		f.Add(c.body)
	}
	for _, uri := range []string{"javascript:alert(1)", "https://a@b/", "http://127.1/", "a.b:/c", "x://", "cursor:///", "https://[::1]/", "HTTP://LOCALHOST/"} {
		f.Add(`{"redirect_uris":["` + uri + `"],"client_name":"\u202e<script>","scope":"a  b"}`)
	}
	f.Add(`{"redirect_uris":[null]}`)
	f.Fuzz(func(t *testing.T, doc string) {
		resp := g.send(http.MethodPost, oauth.PathRegister, "", doc, "Content-Type", "application/json")
		raw := body(t, resp)
		if resp.StatusCode >= 500 || !json.Valid([]byte(raw)) {
			t.Fatalf("%d %q", resp.StatusCode, raw)
		}
		if resp.StatusCode != http.StatusCreated {
			return
		}
		var c struct {
			ClientID     string   `json:"client_id"`
			RedirectURIs []string `json:"redirect_uris"`
		}
		if err := json.Unmarshal([]byte(raw), &c); err != nil || c.ClientID == "" || len(c.RedirectURIs) == 0 || strings.Contains(raw, "null,") {
			t.Fatalf("answer %q", raw)
		}
		for _, uri := range c.RedirectURIs {
			u, err := url.Parse(uri)
			if err != nil || slices.Contains([]string{"javascript", "data", "file", "vbscript", "blob", "about", "view-source"}, strings.ToLower(u.Scheme)) {
				t.Fatalf("registered %q", uri)
			}
			if u.Scheme == "http" && !slices.Contains([]string{"127.0.0.1", "::1", "localhost"}, strings.ToLower(u.Hostname())) {
				t.Fatalf("registered %q", uri)
			}
			page := g.send(http.MethodGet, oauth.PathAuthorize, authorizeQuery(c.ClientID, uri).Encode(), "")
			if page.StatusCode != http.StatusOK {
				t.Fatalf("%q is registered, but the page for it says %d: %s", uri, page.StatusCode, body(t, page))
			}
		}
	})
}
