// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
)

// forwarding is a site with two resources: one whose backend acts for the user at
// GitHub, and one whose backend has no business there.
type forwarding struct {
	*gateway
	plain         gateway
	acts, plainly *testmcp.Scripted
}

func startForwarding(t *testing.T) *forwarding {
	t.Helper()
	f := &forwarding{acts: &testmcp.Scripted{}, plainly: &testmcp.Scripted{}}
	for _, backend := range []*testmcp.Scripted{f.acts, f.plainly} {
		backend.Always(testmcp.JSON(http.StatusOK, "{}"))
	}
	f.gateway = startGateway(t, config{
		backend: serveBackend(t, f.acts), adminAPI: true,
		options: []string{"debug"}, before: []string{"log"},
		gateway: []string{"forward_upstream_token"},
		after:   []string{"mcp_gateway /plain " + serveBackend(t, f.plainly) + " {", "\tallow user:octocat", "}"},
	})
	f.plain = *f.gateway
	f.plain.url = f.origin + "/plain"
	return f
}

// newestToken is the token that GitHub gave out last for octocat.
func newestToken(t *testing.T, s *testidp.Server) string {
	t.Helper()
	tokens := s.Tokens(testidp.Octocat().ID)
	if len(tokens) == 0 {
		t.Fatal("GitHub gave out no token")
	}
	return tokens[len(tokens)-1]
}

// wantAuthorization checks what the backend got in the last request, and that the
// client's tokens are nowhere in it.
func wantAuthorization(t *testing.T, backend *testmcp.Scripted, client tokenSet, want ...string) {
	t.Helper()
	got, ok := backend.Last()
	if !ok {
		t.Fatal("nothing reached the backend")
	}
	if diff := cmp.Diff(want, got.Header["Authorization"]); diff != "" {
		t.Errorf("Authorization at the backend (-want +got):\n%s", diff)
	}
	for name, values := range got.Header {
		for _, secret := range []string{client.Access, client.Refresh} {
			if strings.Contains(strings.Join(values, "\n"), secret) {
				t.Errorf("the client's token is in %s", name)
			}
		}
	}
	if strings.Contains(got.URI, client.Access) {
		t.Error("the client's token is in the URL")
	}
}

// The consent page of the one resource says that its server will act for the user;
// its backend gets the user's token of GitHub. That of the other says nothing of it,
// and gets nothing, although it is the same user at the same site.
func TestForwardedTokenReachesOnlyWhoIsMeantToHaveIt(t *testing.T) {
	f := startForwarding(t)
	const warning = "This server will also receive your"
	pages := map[string]string{}
	for _, at := range []*gateway{f.gateway, &f.plain} {
		p := newPerson()
		p.onConsent = func(consent *page) { pages[at.url] = consent.body }
		set := signInBy(t, at, p)
		if !usable(t, at, set.Access) {
			t.Fatalf("%s refuses its token", at.url)
		}
		if at == f.gateway {
			wantAuthorization(t, f.acts, set, "Bearer "+newestToken(t, f.github))
		} else {
			wantAuthorization(t, f.plainly, set)
		}
	}
	if page := pages[f.url]; !strings.Contains(page, warning) || !strings.Contains(page, "GitHub") || !strings.Contains(page, "access token") {
		t.Errorf("the consent page does not say what the server gets:\n%s", page)
	}
	if strings.Contains(pages[f.plain.url], warning) {
		t.Error("the consent page of the other resource says so, too")
	}
}

// Whatever a client puts into the header besides its own token does not get through,
// nor does a second header, nor the token in the query.
func TestNobodyElseWritesTheForwardedToken(t *testing.T) {
	f := startForwarding(t)
	set := signInSet(t, f.gateway)
	resp, err := bearer(t.Context(), http.MethodPost, f.url+"?access_token="+set.Access, set.Access, []byte(`{}`), http.Header{
		"Proxy-Authorization":  {"Bearer " + set.Access},
		"Connection":           {"Authorization"},
		"X-Forwarded-User":     {"github:1"},
		"X-Mcp-Jwt-Assertion":  {"forged"},
		"X-Github-Token-Guess": {"gho_guess"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if text := readAll(t, resp); resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", resp.StatusCode, text)
	}
	got, _ := f.acts.Last()
	want := []string{"Bearer " + newestToken(t, f.github)}
	if diff := cmp.Diff(want, got.Header["Authorization"]); diff != "" {
		t.Errorf("Authorization at the backend (-want +got):\n%s", diff)
	}
	if strings.Contains(got.URI, "access_token") {
		t.Errorf("the backend sees the query %q", got.RawQuery)
	}
}

// A second program of the same person: both live on the newest token, as GitHub may
// drop the older one any time. After an hour, and a look at GitHub, they still do.
func TestForwardedTokenIsTheNewest(t *testing.T) {
	f := startForwarding(t)
	first := signInSet(t, f.gateway)
	older := newestToken(t, f.github)
	second := signInSet(t, f.gateway)
	newest := newestToken(t, f.github)
	if older == newest {
		t.Fatal("there is one token only; the test proves nothing")
	}
	f.github.RevokeToken(older)
	for _, age := range []time.Duration{0, time.Hour} {
		if age > 0 {
			f.aged(octocatSubject, age)
		}
		for _, set := range []tokenSet{first, second} {
			if !usable(t, f.gateway, set.Access) {
				t.Fatal("signed out")
			}
			wantAuthorization(t, f.acts, set, "Bearer "+newest)
		}
	}
}

// Somebody signed in before the option was set, and nothing was kept. Their client
// signs in again by itself, and the page says what is new.
func TestForwardingIsTurnedOnLater(t *testing.T) {
	backend := &testmcp.Scripted{}
	served := serveBackend(t, recorded(backend, testmcp.Stateless(testmcp.NewServer())))
	c := config{backend: served, global: []string{"recheck_upstream off"}}
	g := startGateway(t, c)
	alice := newPerson()
	var pages []string
	alice.onConsent = func(p *page) { pages = append(pages, p.body) }
	client := newClient(t, alice)
	session := client.mustConnect(t, g.url, nil)
	whoAmI(t, session)
	wantAuthorization(t, backend, client.wire.last(t))
	g.stop()
	c.gateway = []string{"forward_upstream_token"}
	g.configure(c)
	g.start()
	whoAmI(t, session)
	wantAuthorization(t, backend, client.wire.last(t), "Bearer "+newestToken(t, g.github))
	const warning = "This server will also receive your"
	if len(pages) != 2 || strings.Contains(pages[0], warning) || !strings.Contains(pages[1], warning) {
		t.Errorf("%d consent pages, the warning is not on the second alone", len(pages))
	}
}

// recorded has a backend record what another one answers.
func recorded(record *testmcp.Scripted, server http.Handler) http.Handler {
	record.Always(testmcp.Respond(http.StatusOK, nil, nil))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		teed := r.Clone(r.Context())
		teed.Body = http.NoBody
		record.ServeHTTP(discard{http.Header{}}, teed)
		server.ServeHTTP(w, r)
	})
}

// discard is a response that nobody gets.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// With every request logged and Caddy's own debug lines on: neither the user's token
// nor the client's is in a log, in what the admin API shows, in the configuration that
// Caddy saves by itself, or in the store.
func TestNoTokenIsLeftAnywhere(t *testing.T) {
	f := startForwarding(t)
	set := signInSet(t, f.gateway)
	for range 3 {
		if !usable(t, f.gateway, set.Access) {
			t.Fatal("refused")
		}
	}
	next, status, err := postToken(t.Context(), f.gateway, refreshForm(set.form.Get("client_id"), set.Refresh))
	if err != nil || status != http.StatusOK {
		t.Fatalf("refresh: %d, %v", status, err)
	}
	if !usable(t, f.gateway, next.Access) {
		t.Error("the next access token is refused")
	}
	shown := map[string]string{}
	resp, err := bearer(t.Context(), http.MethodGet, "http://"+f.admin+"/config/", "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	shown["GET /config/"] = readAll(t, resp)
	f.stop()
	shown["the log"] = f.log.String()
	for name, file := range map[string]string{"the store": "state.db", "the saved configuration": "caddy/autosave.json"} {
		raw, err := os.ReadFile(filepath.Join(f.dir, file))
		if err != nil {
			t.Fatal(err)
		}
		shown[name] = string(raw)
	}
	if !strings.Contains(shown["the log"], "http.log.access") || !strings.Contains(shown["the log"], `"uri":"/mcp"`) {
		t.Fatal("requests are not logged; the test proves nothing")
	}
	for where, text := range shown {
		for name, secret := range map[string]string{
			"the token of GitHub": newestToken(t, f.github), "the access token": set.Access, "the refresh token": set.Refresh,
			"the next access token": next.Access, "the next refresh token": next.Refresh,
		} {
			if strings.Contains(text, secret) {
				t.Errorf("%s is in %s", name, where)
			}
		}
	}
}
