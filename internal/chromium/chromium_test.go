// SPDX-License-Identifier: Apache-2.0

package chromium_test

import (
	"bytes"
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/chromium"
)

// serve answers GET / with a form and POST /go with a 303 to the target.
func serve(t *testing.T, csp, target string) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", csp)
		fmt.Fprintf(w, `<!DOCTYPE html><title>form</title><link rel="icon" href="data:,">
			<form method="post" action="/go"><input name="who" value="x"><button id="go">go</button></form>
			<a id="link" href="%s">link</a>`, target)
	})
	mux.HandleFunc("POST /go", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target+"?who="+r.FormValue("who"), http.StatusSeeOther)
	})
	mux.HandleFunc("GET /done", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!DOCTYPE html><title>done</title><link rel="icon" href="data:,"><p id="host">%s</p>`, r.Host)
	})
	mux.HandleFunc("GET /cookie", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, err := r.Cookie("seen")
		http.SetCookie(w, &http.Cookie{Name: "seen", Value: "1"})
		fmt.Fprintf(w, `<!DOCTYPE html><title>c</title><link rel="icon" href="data:,"><p id="seen">%t</p>`, err == nil)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

func TestWaitURLFollowsTheFormToWhereItEnds(t *testing.T) {
	t.Parallel()
	b := chromium.New(t)
	other := serve(t, "", "/done")
	for _, tc := range []struct{ name, target, want string }{
		{"another origin", other.URL + "/done", other.URL + "/done?who=Ada"},
		// No browser loads these; without an app for them nothing at all is shown.
		{"private-use scheme", "cursor://anysphere.cursor-mcp/oauth/callback", "cursor://anysphere.cursor-mcp/oauth/callback?who=Ada"},
		{"scheme without host", "com.example.app:/cb", "com.example.app:/cb?who=Ada"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := b.Page(t)
			p.Open(serve(t, "", tc.target).URL)
			p.Fill("input", "Ada")
			p.Click("#go")
			prefix := tc.want[:strings.Index(tc.want, "?")]
			if got := p.WaitURL(prefix); got != tc.want {
				t.Errorf("went to %s, want %s", got, tc.want)
			}
		})
		t.Run(tc.name+" by link", func(t *testing.T) {
			p := b.Page(t)
			p.Open(serve(t, "", tc.target).URL)
			p.Click("#link")
			if got := p.WaitURL(tc.target); got != tc.target {
				t.Errorf("went to %s, want %s", got, tc.target)
			}
		})
	}
}

// The finding behind our own policy: Chromium applies form-action to every hop of
// the redirects after the form. A gateway with form-action 'self' has a consent
// button that does nothing.
func TestFormActionStopsTheRedirectAndIsReported(t *testing.T) {
	t.Parallel()
	other := serve(t, "", "/done")
	p := chromium.New(t).Page(t)
	p.Open(serve(t, "form-action 'self'", other.URL+"/done").URL)
	p.Click("#go")
	got := chromium.Eval[bool](p, `new Promise(r => setTimeout(() => r(location.pathname === "/done"), 500))`)
	if got {
		t.Error("the redirect went through: the premise of our policy does not hold any more")
	}
	if len(p.Complaints()) == 0 {
		t.Error("nobody complained")
	}
	p.Tolerate("form-action")
	if left := p.Complaints(); len(left) != 0 {
		t.Errorf("unexpected complaints %q", left)
	}
}

func TestComplaintsAreCollected(t *testing.T) {
	t.Parallel()
	b := chromium.New(t)
	for _, tc := range []struct{ name, html, want string }{
		{"inline style against the policy", `<p style="color:red">x</p>`, "style-src"},
		{"image against the policy", `<img src="/x.png" alt="">`, "img-src"},
		{"script against the policy", `<script>document.title = "owned"</script>`, "script-src"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				w.Header().Set("Content-Security-Policy", "default-src 'none'")
				fmt.Fprint(w, "<!DOCTYPE html><title>t</title>", tc.html)
			}))
			defer srv.Close()
			p := b.Page(t)
			p.Open(srv.URL)
			got := p.Complaints()
			if !strings.Contains(strings.Join(got, "\n"), tc.want) {
				t.Errorf("complaints %q do not mention %s", got, tc.want)
			}
			p.Tolerate("") // all of them: the page is closed well
			if left := p.Complaints(); len(left) != 0 {
				t.Errorf("not tolerated: %q", left)
			}
		})
	}
}

func TestHostAndInsecureTLS(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(serve(t, "", "/done").Config.Handler)
	t.Cleanup(srv.Close)
	b := chromium.New(t, chromium.Host("mcp.example.com", srv.Listener.Addr().String()), chromium.InsecureTLS())
	p := b.Page(t)
	p.Open("https://mcp.example.com/done")
	if got := p.Text("#host"); got != "mcp.example.com" {
		t.Errorf("the server was asked for %q", got)
	}
	if got := p.URL(); got != "https://mcp.example.com/done" {
		t.Errorf("at %s", got)
	}
}

func TestPagesAreDifferentPeople(t *testing.T) {
	t.Parallel()
	b := chromium.New(t)
	srv := serve(t, "", "/done")
	first, second := b.Page(t), b.Page(t)
	first.Open(srv.URL + "/cookie")
	first.Open(srv.URL + "/cookie")
	if got := first.Text("#seen"); got != "true" {
		t.Errorf("cookie lost in the same page: %s", got)
	}
	second.Open(srv.URL + "/cookie")
	if got := second.Text("#seen"); got != "false" {
		t.Errorf("the second page has the cookie of the first")
	}
}

func TestTabsAreTheSamePerson(t *testing.T) {
	t.Parallel()
	srv := serve(t, "", "/done")
	first := chromium.New(t).Page(t)
	first.Open(srv.URL + "/cookie")
	second := first.Tab(t)
	second.Open(srv.URL + "/cookie")
	if got := second.Text("#seen"); got != "true" {
		t.Errorf("cookie seen in the second tab: %s", got)
	}
	if got := first.Text("#seen"); got != "false" {
		t.Errorf("the first tab changed: %s", got)
	}
}

func TestBack(t *testing.T) {
	t.Parallel()
	srv := serve(t, "", "/done")
	p := chromium.New(t).Page(t)
	p.Open(srv.URL + "/")
	p.Click("#link")
	p.WaitFor("#host")
	p.Back()
	p.WaitFor("#go")
	if got := p.URL(); got != srv.URL+"/" {
		t.Errorf("back at %s", got)
	}
}

func TestLookAndKeyboard(t *testing.T) {
	t.Parallel()
	p := chromium.New(t).Page(t)
	p.Look(chromium.View{Width: 320, Height: 640, Scale: 2, Dark: true})
	p.Open(serve(t, "", "/done").URL)
	if !chromium.Eval[bool](p, `matchMedia("(prefers-color-scheme: dark)").matches`) {
		t.Error("not dark")
	}
	img, err := png.DecodeConfig(bytes.NewReader(p.Screenshot()))
	if err != nil {
		t.Fatal(err)
	}
	if img.Width != 640 || img.Height != 1280 {
		t.Errorf("screenshot is %d×%d, want 640×1280", img.Width, img.Height)
	}
	p.Press(kb.Tab + kb.Tab)
	if got := chromium.Eval[string](p, "document.activeElement.id"); got != "go" {
		t.Errorf("after two tabs the focus is on %q", got)
	}
	p.Press(kb.Enter)
	p.WaitFor("#host")
	p.Look(chromium.View{Width: 800, Height: 600})
	if chromium.Eval[bool](p, `matchMedia("(prefers-color-scheme: dark)").matches`) {
		t.Error("still dark")
	}
}
