// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Answers that were made before are those that are made for a reason nobody thought of,
// but for the reason.
func TestAnswersMadeBeforeAndAfter(t *testing.T) {
	t.Parallel()
	b := newTestbed(t)
	unforeseen := refusedToken{"new", "a new reason"}
	for _, path := range []string{"/mcp", "/mcp/", "/mcp/deeper"} {
		for _, refused := range append([]refusedToken{unforeseen}, tokenRefusals...) {
			w := httptest.NewRecorder()
			b.guard.challenge(w, httptest.NewRequest(http.MethodPost, path, nil), refused)
			want := newUnauthorized(b.guard.challenges[b.guard.challengePath(path)], refused)
			got := w.Header().Get("WWW-Authenticate")
			if w.Code != http.StatusUnauthorized || got != want.challenge || w.Body.String() != string(want.body) {
				t.Errorf("%s, %s: %d %q %s, want %+v", path, refused.reason, w.Code, got, w.Body, want)
			}
			if !strings.Contains(got, refused.description) || strings.Contains(got, "error=") != (refused != missingToken) {
				t.Errorf("%s, %s: challenge %s", path, refused.reason, got)
			}
		}
	}
}

// One request must not be able to change the answer to the next.
func TestAnswersAreNotShared(t *testing.T) {
	t.Parallel()
	b := newTestbed(t)
	r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
	first, second := httptest.NewRecorder(), httptest.NewRecorder()
	b.guard.challenge(first, r, errTokenForged)
	for _, values := range first.Header() {
		values[0] = "changed by a handler"
	}
	b.guard.challenge(second, r, errTokenForged)
	for name, values := range second.Header() {
		if values[0] == "changed by a handler" {
			t.Errorf("%s: %q", name, values)
		}
	}
}
