// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/chromium"
)

// shotsEnv names a directory for screenshots of every page in every view, for
// people to look at.
const shotsEnv = "MCP_OAUTH_TEST_SHOTS"

// views are a small phone, a phone and a desktop, and the desktop zoomed to 200 %
// and to 400 %, which WCAG 1.4.10 asks for.
var views = []struct {
	name string
	view chromium.View
}{
	{"320x640", chromium.View{Width: 320, Height: 640}},
	{"390x844", chromium.View{Width: 390, Height: 844}},
	{"1280x800", chromium.View{Width: 1280, Height: 800}},
	{"zoom-200", chromium.View{Width: 640, Height: 400, Scale: 2}},
	{"zoom-400", chromium.View{Width: 320, Height: 200, Scale: 4}},
}

// TestInBrowser runs what only a browser can tell, in one browser: starting it
// takes longer than most of what follows.
func TestInBrowser(t *testing.T) {
	b := chromium.New(t)
	for _, tc := range []struct {
		name string
		run  func(*testing.T, *chromium.Browser)
	}{
		{"pages fit every screen", testFit},
		{"pages are accessible", testAccessible},
		{"keyboard order", testKeyboardOrder},
		{"targets are large enough", testTargets},
		{"names stay in place", testNamesStayInPlace},
		{"consent leads to the client", testConsentLeadsToTheClient},
		{"sign in by typing", testSignInByTyping},
		{"popup keeps its opener", testPopupKeepsItsOpener},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.run(t, b) })
	}
}

// servePages serves every sample under its name.
func servePages(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	for _, s := range samples() {
		mux.HandleFunc("GET /"+s.name, func(w http.ResponseWriter, _ *http.Request) {
			if err := s.write(w); err != nil {
				t.Errorf("%s: %v", s.name, err)
			}
		})
	}
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

// openPage opens a sample, which may well have a status the browser remarks upon.
func openPage(t *testing.T, b *chromium.Browser, url string) *chromium.Page {
	t.Helper()
	p := b.Page(t)
	p.Tolerate("Failed to load resource: the server responded with a status of 4")
	p.Open(url)
	return p
}

// testFit finds no page that scrolls sideways.
func testFit(t *testing.T, b *chromium.Browser) {
	srv := servePages(t)
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			p := openPage(t, b, srv.URL+"/"+s.name)
			for _, v := range views {
				for _, dark := range []bool{false, true} {
					v.view.Dark = dark
					p.Look(v.view)
					if wide := chromium.Eval[int](p, "document.documentElement.scrollWidth"); wide > v.view.Width {
						t.Errorf("%s: content is %d pixels wide, the screen %d", v.name, wide, v.view.Width)
					}
					keepShot(t, p, fmt.Sprintf("%s_%s_dark-%t.png", s.name, v.name, dark))
				}
			}
		})
	}
}

func keepShot(t *testing.T, p *chromium.Page, name string) {
	t.Helper()
	if dir := os.Getenv(shotsEnv); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name), p.Screenshot(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
