// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The story: an operator prints all variables of a request to find a mistake, and the
// page or the log has an assertion in it that is good for minutes.
func TestAdmittedPrintsAsTheSubject(t *testing.T) {
	t.Parallel()
	b := newTestbed(t)
	b.guard.cfg.DeferIdentity = true
	r := b.bearerRequest(t.Context(), "g", person("1", "acme"))
	err := b.guard.Serve(httptest.NewRecorder(), r, "/mcp", func(_ http.ResponseWriter, r *http.Request, a *Admitted) error {
		before := len(r.Header)
		sent := a.WithIdentity(r.Header)
		if !strings.HasPrefix(sent.Get(headerAssertion), "ey") || len(r.Header) != before {
			t.Errorf("sent %v for %v", sent, r.Header)
		}
		for _, printed := range []string{fmt.Sprint(a), fmt.Sprintf("%+v", a)} {
			if printed != a.Subject {
				t.Errorf("printed %q", printed)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
