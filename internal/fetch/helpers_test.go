// SPDX-License-Identifier: Apache-2.0

package fetch_test

import (
	"errors"
	"io"
	"net/http"
	"net/netip"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/fetch"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testsite"
)

type site struct{ *testsite.Site }

func newSite(t *testing.T, h http.HandlerFunc) *site {
	t.Helper()
	return &site{testsite.New(t, h)}
}

// client may reach the site, which is on loopback.
func (s *site) client(names *testsite.Names) *fetch.Client {
	return fetch.New(fetch.Options{RootCAs: s.Roots, Resolver: names.Resolver(), InsecureAllowLoopback: true})
}

// url of a path at client.example.
func (s *site) url(path string) string { return s.At("client.example", path) }

func loopback() *testsite.Names { return testsite.Loopback() }

func namesOf(answers map[string][][]netip.Addr) *testsite.Names { return testsite.NamesOf(answers) }

// jsonHandler serves a body as JSON; header is name, value, …
func jsonHandler(body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		_, _ = io.WriteString(w, body)
	}
}

// wantFailure checks what every failure has in common: one text.
func wantFailure(t *testing.T, err error, reason fetch.Reason, temporary bool) *fetch.Failure {
	t.Helper()
	var f *fetch.Failure
	if !errors.As(err, &f) {
		t.Fatalf("got %v, want a failure", err)
	}
	if f.Reason != reason || f.Temporary != temporary {
		t.Errorf("got %s, temporary %v, want %s, %v: %s", f.Reason, f.Temporary, reason, temporary, f.Detail())
	}
	if err.Error() != "the document could not be fetched" {
		t.Errorf("the error tells more than it must: %v", err)
	}
	return f
}
