// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

// bearerForms are what clients send, or might. TOKEN is a good one.
var bearerForms = []string{
	"Bearer TOKEN", "bearer TOKEN", "BEARER  TOKEN", "Bearer TOKEN ", "Bearer\tTOKEN", " Bearer TOKEN", "Bearer  ", "Bearer",
	"", "TOKEN", "Basic TOKEN", "DPoP TOKEN", "Bearer TOKEN,", "Bearer TOKEN, Bearer TOKEN", "Bearer TOKEN TOKEN", "Bearer Bearer TOKEN",
	"Bearer \tTOKEN", "Bearer TOKEN\t", "Bearer \"TOKEN\"", "Bearer TOKEN=", "Bearer TOKEN==", "Bearer =TOKEN", "Bearer TOKEN\x00",
	"Bearer TO\nKEN", "Bearer TOKEN\n", "Bearer TOKEN\r\n", "Bearer mcpat_\n", "Bearer mcpat_", "Bearer =", "Bearer mcpat_\u00e9", "Bearer \xff", "Bearer token=TOKEN",
	"Bearer ${TOKEN}", "Bearer undefined", "Bearer " + strings.Repeat("a", 8<<10), "Bearer " + strings.Repeat("a", 8<<10+1),
	"Bearer " + strings.Repeat("\n", 8<<10), "Bearer TOKEN" + strings.Repeat(" ", 9<<10), "Bearer TOKEN" + strings.Repeat("\n", 100),
}

// wellFormed is RFC 6750 §2.1, with the spaces that RFC 9110 §11.4 allows.
var (
	wellFormed = regexp.MustCompile(`^(?i:bearer) +([A-Za-z0-9._~+/-]+=*) *$`)
	noToken    = regexp.MustCompile(`^(?i:bearer) *$`)
	otherOne   = regexp.MustCompile(`^(?i:bearer)( |$)`)
)

// wantBearer is what is answered to a header, known from its form.
func wantBearer(header, good string, stale bool) int {
	m := wellFormed.FindStringSubmatch(header)
	switch {
	case !otherOne.MatchString(header) || noToken.MatchString(header):
		return http.StatusUnauthorized
	case m == nil || len(m[1]) > 8<<10:
		return http.StatusBadRequest
	case stale:
		return http.StatusServiceUnavailable
	case m[1] == good:
		return http.StatusOK
	}
	return http.StatusUnauthorized
}

// serveBearer sends a request with the header and returns the status.
func serveBearer(t *testing.T, g *Guard, header ...string) int {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, testIssuer+"/mcp", http.NoBody)
	r.Header["Authorization"] = header
	rec := httptest.NewRecorder()
	if err := g.Serve(rec, r, "/mcp", func(w http.ResponseWriter, _ *http.Request, _ *Admitted) error {
		w.WriteHeader(http.StatusOK)
		return nil
	}); err != nil {
		return http.StatusServiceUnavailable
	}
	if challenge := rec.Header().Get("WWW-Authenticate"); (challenge != "") != (rec.Code == http.StatusUnauthorized) {
		t.Errorf("%q: %d with the challenge %q", header, rec.Code, challenge)
	}
	return rec.Code
}

// Tokens are looked up before their characters are looked at. That changes no answer,
// whether the token was seen before or not, and while nothing is heard of other
// gateways for longer than is tolerated.
func TestBearerFormsAreAnsweredByTheirForm(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t)
	_, good, _ := strings.Cut(bed.bearerRequest(t.Context(), "g1", person("1")).Header.Get("Authorization"), " ")
	for _, when := range []string{"first", "known", "stale"} {
		if when == "stale" {
			bed.st.follower = &follower{began: bed.st.now().Add(-time.Hour)}
		}
		for _, form := range bearerForms {
			header := strings.ReplaceAll(form, "TOKEN", good)
			if got, want := serveBearer(t, bed.guard, header), wantBearer(header, good, when == "stale"); got != want {
				t.Errorf("%s: %.60q: %d, want %d", when, form, got, want)
			}
		}
		if got := serveBearer(t, bed.guard, "Bearer "+good, "Bearer "+good); got != http.StatusBadRequest {
			t.Errorf("%s: repeated: %d", when, got)
		}
	}
}

func FuzzBearerForms(f *testing.F) {
	for _, form := range bearerForms {
		f.Add(form, 0)
		f.Add(form, 70)
	}
	bed := newTestbed(f)
	_, good, _ := strings.Cut(bed.bearerRequest(f.Context(), "g1", person("1")).Header.Get("Authorization"), " ")
	f.Fuzz(func(t *testing.T, form string, cut int) {
		token := good
		if cut > 0 && cut < len(good) {
			token = good[:cut] + form + good[cut:] // the form is what is put in between
			form = "Bearer TOKEN"
		}
		header := strings.ReplaceAll(form, "TOKEN", token)
		if got, want := serveBearer(t, bed.guard, header), wantBearer(header, good, false); got != want {
			t.Errorf("%q: %d, want %d", header, got, want)
		}
	})
}
