// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
)

// The story: the operator shows error pages of another website, as the manual of Caddy
// suggests: its reverse_proxy sends them the request that failed, with all its headers.
// Nobody's token travels there, nor the session of a browser.
func TestErrorPagesOfOthersGetNoCredentials(t *testing.T) {
	t.Parallel()
	down := errors.New("connection refused")
	for name, tt := range map[string]struct {
		token string // "" for one that is good
		store error
		next  error
		fails bool
	}{
		"the backend is down":         {next: down, fails: true},
		"the store is down":           {store: errors.New("disk on fire"), fails: true},
		"the token is nobody's":       {token: "mcpat_nobody"},
		"the token is none":           {token: "mcpat_nob ody"},
		"the answer is the backend's": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newForwardingLab(t, member(1))
				raw := l.grant("g1", member(1))
				if tt.token != "" {
					raw = tt.token
				}
				l.mem.intercept(func(string, string) error { return tt.store })
				r := l.request(t.Context(), raw)
				r.Header.Set("Cookie", hostPrefix+cookieSignIn+"=secret-session; theirs=1")
				admitted := false
				err := l.guard.Serve(httptest.NewRecorder(), r, "/mcp", func(_ http.ResponseWriter, r *http.Request, _ *Admitted) error {
					admitted = r.Header.Get("Authorization") == "Bearer access-of-1"
					return tt.next
				})
				if (err != nil) != tt.fails || admitted != (tt.token == "" && tt.store == nil) {
					t.Fatalf("error %v, the backend was asked with a token: %v; the test proves nothing", err, admitted)
				}
				for name, values := range r.Header {
					if all := strings.Join(values, " "); strings.Contains(all, raw) || strings.Contains(all, "access-of-1") || strings.Contains(all, "secret") {
						t.Errorf("who shows the error page gets %s: %s", name, all)
					}
				}
				if got := r.Header.Get("Cookie"); got != "theirs=1" {
					t.Errorf("and the cookies %q", got)
				}
			})
		})
	}
}
