// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/chromium"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
)

// A verifier and its S256 challenge (RFC 7636, appendix B).
const (
	codeVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	codeChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// website is a hosted client: people press "connect" on its page, and it is
// answered at its callback, like the web versions of the assistants.
type website struct {
	origin   string
	clientID string
	gateway  *gateway
	addr     string
}

// startWebsite serves one under a public name and registers it.
func startWebsite(t *testing.T, g *gateway, host, name string) *website {
	t.Helper()
	s := &website{origin: "https://" + host, gateway: g}
	server := httptest.NewTLSServer(s)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	s.addr = server.Listener.Addr().String()
	b, err := json.Marshal(map[string]any{
		"client_name": name, "redirect_uris": []string{s.redirect()}, "token_endpoint_auth_method": "none",
	})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.origin+"/register", bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := network.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	var out struct {
		ClientID string `json:"client_id"`
	}
	if err := json.Unmarshal([]byte(readAll(t, resp)), &out); err != nil || out.ClientID == "" {
		t.Fatalf("register: %s %v", resp.Status, err)
	}
	s.clientID = out.ClientID
	return s
}

func (s *website) redirect() string { return s.origin + "/callback" }

// authorizeURL is where its "connect" leads.
func (s *website) authorizeURL(state string) string {
	return s.gateway.origin + "/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {s.clientID}, "redirect_uri": {s.redirect()}, "state": {state},
		"code_challenge": {codeChallenge}, "code_challenge_method": {"S256"}, "resource": {s.gateway.url}, "scope": {"mcp"},
	}.Encode()
}

// ServeHTTP is the website: "/" has the button, "/link" and "/frame" do what other
// sites might, "/callback" is where the answer arrives.
func (s *website) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	const head = "<!DOCTYPE html><link rel=icon href=data:,><title>client</title>"
	to := html.EscapeString(r.URL.Query().Get("to"))
	switch r.URL.Path {
	case "/":
		fmt.Fprintf(w, `%s<a id="connect" href="/start?state=%s">Connect</a>`, head, html.EscapeString(r.URL.Query().Get("state")))
	case "/start": // most begin at a redirect of their own
		http.Redirect(w, r, s.authorizeURL(r.URL.Query().Get("state")), http.StatusFound)
	case "/link":
		fmt.Fprintf(w, `%s<a id="link" href="%s">Look at this</a>`, head, to)
	case "/frame":
		fmt.Fprintf(w, `%s<p id="framed">Nothing to see</p><iframe src="%s"></iframe>`, head, to)
	case "/callback":
		fmt.Fprintf(w, `%s<p id="done">%s</p>`, head, html.EscapeString(r.URL.Query().Get("state")))
	default:
		http.NotFound(w, r)
	}
}

// connect presses the website's button, up to where that leads.
func (s *website) connect(tab *chromium.Page, state string) {
	tab.Open(s.origin + "/?state=" + state)
	tab.Click("#connect")
}

// arrives waits for the answer with that state and redeems its code.
func (s *website) arrives(t *testing.T, tab *chromium.Page, state string) {
	t.Helper()
	answer := mustParse(t, tab.WaitURL(s.redirect())).Query()
	tab.WaitFor("#done")
	if answer.Get("state") != state || answer.Get("iss") != s.gateway.origin || answer.Get("code") == "" {
		t.Fatalf("the website is told state %q, error %q; want a code for %q", answer.Get("state"), answer.Get("error"), state)
	}
	_, status, err := postToken(t.Context(), s.gateway, url.Values{
		"grant_type": {"authorization_code"}, "code": {answer.Get("code")}, "client_id": {s.clientID},
		"redirect_uri": {s.redirect()}, "code_verifier": {codeVerifier}, "resource": {s.gateway.url},
	})
	if err != nil || status != http.StatusOK {
		t.Errorf("the code of %q is worth nothing: %d %v", state, status, err)
	}
}

// session is a gateway under a public name, two websites that connect to it, one
// that should not, and a person at a browser.
type session struct {
	gateway        *gateway
	assistant, ide *website
	evil           *website
	tab            *chromium.Page
}

func startSession(t *testing.T) *session {
	t.Helper()
	g := startGateway(t, config{
		host: "mcp" + publicDomain, backend: serveBackend(t, testmcp.Stateless(testmcp.NewServer())),
		gateway: []string{`name "Weather"`, "allow any"},
	})
	g.github.SetMode(testidp.Interactive)
	s := &session{gateway: g}
	s.assistant = startWebsite(t, g, "assistant.example", "Assistant")
	s.ide = startWebsite(t, g, "ide.example", "Web IDE")
	s.evil = startWebsite(t, g, "evil.example", "Assistant")
	s.tab = chromium.New(t, chromium.InsecureTLS(), chromium.Host("mcp"+publicDomain, "127.0.0.1"),
		chromium.Host("assistant.example", s.assistant.addr), chromium.Host("ide.example", s.ide.addr),
		chromium.Host("evil.example", s.evil.addr)).Page(t)
	return s
}

// atGitHub signs in with every click there is, on whichever page GitHub shows.
func (s *session) atGitHub(tab *chromium.Page, login string) {
	tab.WaitURL(s.gateway.github.URL + "/login/oauth/authorize")
	tab.WaitFor("input[name=login], button[name=authorize]")
	if chromium.Eval[bool](tab, `!!document.querySelector("input[name=login]")`) {
		tab.Fill("input[name=login]", login)
		tab.Click("button[name=commit]")
	}
	tab.WaitFor("button[name=authorize][value='1']")
	tab.Click("button[name=authorize][value='1']")
}

// asked waits for our page and checks whom it takes the person for, "" for nobody.
func asked(t *testing.T, tab *chromium.Page, name string) {
	t.Helper()
	tab.WaitFor("button[value=approve]")
	text := tab.Text("main")
	if got := strings.Contains(text, "You are signed in"); got != (name != "") || !strings.Contains(text, name) {
		t.Fatalf("the page takes the person for somebody else than %q:\n%s", name, text)
	}
}

func approve(tab *chromium.Page) { tab.Click("button[value=approve]") }
