// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway/web"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/chromium"
)

// post is what the gateway would see of a form.
type post struct {
	Form         map[string]string
	Origin, Site string
}

// flow is a gateway reduced to its pages: consent, then a provider on another
// origin, then the client's address.
type flow struct {
	gateway *httptest.Server
	posted  chan post
}

func newFlow(t *testing.T, c *web.Consent, client string) *flow {
	t.Helper()
	f := &flow{posted: make(chan post, 1)}
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, client+"?code=1", http.StatusSeeOther)
	}))
	t.Cleanup(provider.Close)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, _ *http.Request) {
		if err := web.WriteConsent(w, c); err != nil {
			t.Errorf("consent: %v", err)
		}
	})
	mux.HandleFunc("POST /authorize/consent", func(w http.ResponseWriter, r *http.Request) {
		f.posted <- seen(r)
		http.Redirect(w, r, provider.URL, http.StatusSeeOther)
	})
	mux.HandleFunc("GET /callback/local", func(w http.ResponseWriter, _ *http.Request) {
		if err := web.WriteSignIn(w, http.StatusOK, firstSignIn()); err != nil {
			t.Errorf("sign-in: %v", err)
		}
	})
	mux.HandleFunc("POST /callback/local", func(w http.ResponseWriter, r *http.Request) {
		f.posted <- seen(r)
		http.Redirect(w, r, client+"?code=1", http.StatusSeeOther)
	})
	f.gateway = httptest.NewServer(mux)
	t.Cleanup(f.gateway.Close)
	return f
}

func seen(r *http.Request) post {
	p := post{Form: map[string]string{}, Origin: r.Header.Get("Origin"), Site: r.Header.Get("Sec-Fetch-Site")}
	_ = r.ParseForm()
	for name, values := range r.PostForm {
		p.Form[name] = fmt.Sprint(values)
	}
	return p
}

// The button must lead all the way: through a provider on another origin and on to
// an address that is no website. A CSP form-action, a no-referrer policy or an
// opener policy would each break it in one browser or another.
func testConsentLeadsToTheClient(t *testing.T, b *chromium.Browser) {
	form := func(decision, upstream string) map[string]string {
		return map[string]string{
			"request": "[mcpcr_c2VhbGVk]", "csrf": "[dG9rZW4]", "upstream": "[" + upstream + "]", "decision": "[" + decision + "]",
		}
	}
	for _, tc := range []struct {
		name    string
		consent *web.Consent
		client  string
		clicks  []string
		form    map[string]string
	}{
		{"approve", claude(), "http://127.0.0.1:1/cb", []string{`[value=approve]`}, form("approve", "github")},
		{"deny", claude(), "http://127.0.0.1:1/cb", []string{`[value=deny]`}, form("deny", "github")},
		{
			"approve with the second provider, for an app", cursor(), "cursor://anysphere.cursor-mcp/oauth/callback",
			[]string{`.choice:has([value=corp])`, `[value=approve]`},
			form("approve", "corp"),
		},
		{
			"approve without a choice, for an app", cursor(), "cursor://anysphere.cursor-mcp/oauth/callback",
			[]string{`[value=approve]`},
			form("approve", "github"),
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFlow(t, tc.consent, tc.client)
			p := b.Page(t)
			p.Open(f.gateway.URL + "/authorize")
			for _, selector := range tc.clicks {
				p.Click(selector)
			}
			if got := p.WaitURL(tc.client); got != tc.client+"?code=1" {
				t.Errorf("went to %s", got)
			}
			want := post{Form: tc.form, Origin: f.gateway.URL, Site: "same-origin"}
			if diff := cmp.Diff(want, <-f.posted); diff != "" {
				t.Errorf("the gateway gets (-want +got):\n%s", diff)
			}
		})
	}
}

func testSignInByTyping(t *testing.T, b *chromium.Browser) {
	f := newFlow(t, claude(), "cursor://x/cb")
	p := b.Page(t)
	p.Open(f.gateway.URL + "/callback/local")
	p.Fill("#username", "ada")
	p.Fill("#password", "correct horse")
	p.Click("button")
	p.WaitURL("cursor://x/cb?code=1")
	want := post{
		Form:   map[string]string{"state": "[c3RhdGU]", "csrf": "[dG9rZW4]", "username": "[ada]", "password": "[correct horse]"},
		Origin: f.gateway.URL, Site: "same-origin",
	}
	if diff := cmp.Diff(want, <-f.posted); diff != "" {
		t.Errorf("the gateway gets (-want +got):\n%s", diff)
	}
}

// Web clients open the authorization in a popup and wait for its last page to speak
// to its opener. A Cross-Origin-Opener-Policy on any page in between would cut the
// two apart for good, and the client would wait for ever.
func testPopupKeepsItsOpener(t *testing.T, b *chromium.Browser) {
	var client *httptest.Server
	f := newFlow(t, claude(), "http://127.0.0.1:1/cb")
	client = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!DOCTYPE html><title>client</title><link rel="icon" href="data:,"><script>
			if (location.pathname === "/cb") { opener.postMessage("done", "*") }
			addEventListener("message", e => document.title = e.data)
			const start = () => { window.popup = open(%q) }
			</script><button onclick="start()">connect</button>`, f.gateway.URL+"/authorize")
	}))
	t.Cleanup(client.Close)
	p := b.Page(t)
	p.Open(client.URL)
	p.Click("button")
	// Reading the location is refused once the popup shows another origin's page.
	if !chromium.Eval[bool](p, `new Promise((done, fail) => { const look = () => {
			try { popup.location.href } catch { return done(!popup.closed) }
			popup.closed ? done(false) : setTimeout(look, 20)
		}; look() })`) {
		t.Fatal("the popup is cut off from its opener")
	}
	chromium.Eval[bool](p, fmt.Sprintf(`popup.location = %q, true`, client.URL+"/cb"))
	if !chromium.Eval[bool](p, `new Promise(done => { const look = () =>
			document.title === "done" ? done(true) : setTimeout(look, 20); look() })`) {
		t.Error("the popup's last page cannot reach its opener")
	}
}
