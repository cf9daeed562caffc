// SPDX-License-Identifier: Apache-2.0

package axe_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/chromium"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/chromium/axe"
)

// A checker that finds nothing anywhere would pass every page of ours.
func TestCheckFindsWhatIsWrong(t *testing.T) {
	checker := axe.Load(t)
	b := chromium.New(t)
	for _, tc := range []struct{ name, html, rule string }{
		{"no language", `<html><title>t</title><main><h1>x</h1></main>`, "html-has-lang"},
		{"input without label", `<html lang=en><title>t</title><main><h1>x</h1><input></main>`, "label"},
		{"pale text", `<html lang=en><title>t</title><main><h1>x</h1><p style="color:#aaa">x</p></main>`, "color-contrast"},
		{"nothing wrong", `<html lang=en><title>t</title><main><h1>x</h1></main>`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				// Scripts of the page are forbidden; the checker runs all the same.
				w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
				fmt.Fprint(w, "<!DOCTYPE html>", tc.html)
			}))
			defer srv.Close()
			p := b.Page(t)
			p.Open(srv.URL)
			findings := checker.Check(t, p)
			if tc.rule == "" && len(findings) > 0 {
				t.Errorf("findings on a clean page: %v", findings)
			}
			if tc.rule != "" && (len(findings) != 1 || findings[0].Rule != tc.rule) {
				t.Errorf("findings %v, want just %s", findings, tc.rule)
			}
		})
	}
}
