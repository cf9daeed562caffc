// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream/github"
)

// atGitHub is a gateway with the real upstream/github in front of a fake GitHub
// at which octocat is signed in. Members of the organization "github" may come in.
func atGitHub(t *testing.T) (*world, *testidp.Server) {
	t.Helper()
	idp := testidp.Start(t, func(c *testidp.Config) { c.RedirectURIs = []string{issuer + oauth.PathCallback + "github"} })
	octocat := testidp.Octocat()
	idp.AddUser(octocat)
	idp.SignIn(octocat.ID)
	up, err := github.New(github.Config{
		ClientID: idp.ClientID(), ClientSecret: idp.ClientSecret(), BaseURL: idp.URL, APIURL: idp.URL, Needs: policy.Needs{Orgs: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	return newWorld(t, func(c *gateway.Config) {
		c.Upstreams = []upstream.Upstream{up}
		c.Resources[0].Policy = rules(t, "org:github")
	}), idp
}

// visit follows our redirect to GitHub and returns where that sends the browser.
func (b *browser) visit(resp *http.Response) (callback *url.URL) {
	b.w.t.Helper()
	// Not the default transport: servers of other tests close its connections.
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	r, err := http.NewRequestWithContext(b.w.t.Context(), http.MethodGet, location(b.w.t, resp).String(), nil)
	if err != nil {
		b.w.t.Fatal(err)
	}
	answer, err := client.Do(r)
	if err != nil {
		b.w.t.Fatal(err)
	}
	defer answer.Body.Close()
	loc, err := answer.Location()
	if err != nil {
		b.w.t.Fatalf("GitHub: %d %v", answer.StatusCode, err)
	}
	return loc
}

func TestGitHubSignIn(t *testing.T) {
	t.Parallel()
	w, idp := atGitHub(t)
	var seen http.Header
	w.backend = func(_ http.ResponseWriter, r *http.Request) { seen = r.Header.Clone() }
	id := w.register(loopbackURI)
	b := w.browser()
	callback := b.visit(b.consent(authorizeQuery(id, loopbackURI), "approve"))
	if got := callback.Scheme + "://" + callback.Host + callback.Path; got != issuer+"/callback/github" {
		t.Fatalf("GitHub sends the browser to %s", got)
	}
	loc := location(t, b.get(callback.RequestURI()))
	wantOnce(t, loc, map[string]string{"code": "*", "state": "client-state"})
	tok := w.redeem(codeForm(id, loc.Query().Get("code")))
	w.wantCall("/mcp", tok.AccessToken, http.StatusOK)
	for name, want := range map[string]string{
		"X-Forwarded-User": "github:583231", "X-Forwarded-Preferred-Username": "octocat",
		"X-Forwarded-Email": "octocat@github.example", "X-Forwarded-Groups": "github",
	} {
		if got := seen.Get(name); got != want {
			t.Errorf("backend saw %s: %q, want %q", name, got, want)
		}
	}
	// PKCE towards GitHub, too, and no GitHub token in anything the client got.
	requests := idp.Requests("/login/oauth/authorize", "/login/oauth/access_token")
	if len(requests) != 2 || requests[0].Query.Get("code_challenge_method") != "S256" || len(requests[1].Form.Get("code_verifier")) < 43 {
		t.Errorf("requests at GitHub: %+v", requests)
	}
	for _, secret := range append(idp.Tokens(583231), idp.ClientSecret(), requests[1].Form.Get("code_verifier")) {
		if strings.Contains(tok.AccessToken+loc.String()+w.log.String(), secret) {
			t.Error("a secret of the GitHub leg got out")
		}
	}
}

// What GitHub and its users may do to a sign-in, and the person's page for it.
func TestGitHubTroubles(t *testing.T) {
	t.Parallel()
	type trouble struct {
		arrange func(*testidp.Server)
		tamper  func(url.Values)
		status  int
		reason  string
	}
	for name, tt := range map[string]trouble{
		"the user declines":        {arrange: func(s *testidp.Server) { s.SetMode(testidp.Deny) }, status: http.StatusSeeOther},
		"not in the organization":  {arrange: func(s *testidp.Server) { s.UpdateUser(583231, func(u *testidp.User) { u.Orgs = nil }) }, status: 403, reason: "not_allowed"},
		"read:org was withheld":    {arrange: func(s *testidp.Server) { s.Grant("read:user", "user:email") }, status: 403, reason: "upstream_insufficient_scope"},
		"app suspended":            {arrange: func(s *testidp.Server) { s.Suspend(true) }, status: 502, reason: "upstream_misconfigured"},
		"code made up":             {tamper: func(q url.Values) { q.Set("code", "made-up") }, status: 400, reason: "upstream_invalid"},
		"code left out":            {tamper: func(q url.Values) { q.Del("code") }, status: 400, reason: "upstream_invalid"},
		"code twice":               {tamper: func(q url.Values) { q.Add("code", "x") }, status: 400, reason: "upstream_invalid"},
		"code and error":           {tamper: func(q url.Values) { q.Set("error", "access_denied") }, status: 400, reason: "upstream_invalid"},
		"answer of another issuer": {tamper: func(q url.Values) { q.Set("iss", "https://evil.example") }, status: 400, reason: "upstream_invalid"},
		"GitHub gone":              {arrange: func(s *testidp.Server) { s.Fail("/login/oauth/access_token", testidp.Status(502, "down")) }, status: 503, reason: "upstream_unavailable"},
		"API gone":                 {arrange: func(s *testidp.Server) { s.Fail("/user", testidp.Status(500, "down")) }, status: 503, reason: "upstream_unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, idp := atGitHub(t)
			rec := w.observed()
			if tt.arrange != nil {
				tt.arrange(idp)
			}
			b := w.browser()
			callback := b.visit(b.consent(authorizeQuery(w.register(loopbackURI), loopbackURI), "approve"))
			q := callback.Query()
			if tt.tamper != nil {
				tt.tamper(q)
			}
			resp := b.get(callback.Path + "?" + q.Encode())
			if tt.status == http.StatusSeeOther {
				wantOnce(t, location(t, resp), map[string]string{"error": "access_denied", "error_description": "*", "state": "client-state"})
			} else {
				wantPage(t, resp, tt.status, tt.reason)
			}
			if rec.count("CreateGrant") != 0 {
				t.Error("a grant was made")
			}
			wantPage(t, b.get(callback.RequestURI()), http.StatusBadRequest, "flow_expired")
		})
	}
}

// The attacker's own GitHub code, put into the victim's callback: GitHub holds it
// to the PKCE challenge of the sign-in it was made for (RFC 9700 §4.5).
func TestCodeOfGitHubInjected(t *testing.T) {
	t.Parallel()
	w, _ := atGitHub(t)
	id := w.register(loopbackURI)
	victim, attacker := w.browser(), w.browser()
	callback := victim.visit(victim.consent(authorizeQuery(id, loopbackURI), "approve"))
	foreign := attacker.visit(attacker.consent(authorizeQuery(id, loopbackURI), "approve"))
	q := callback.Query()
	q.Set("code", foreign.Query().Get("code"))
	wantPage(t, victim.get(callback.Path+"?"+q.Encode()), http.StatusBadRequest, "upstream_invalid")
}
