// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
)

// A gateway as it is needs no doctor, in whichever form its URL was typed.
func TestHealthyGateway(t *testing.T) {
	t.Parallel()
	root := func(c *gateway.Config) { c.Resources[0].Path = "/" }
	for _, tt := range []struct {
		name, address string
		edit          func(*gateway.Config)
	}{
		{"a path", publicURL, func(*gateway.Config) {}},
		{"its trailing slash", publicURL + "/", func(*gateway.Config) {}},
		{"the root", publicOrigin + "/", root},
		{"the origin", publicOrigin, root},
		{"a deep path", publicOrigin + "/a/b/mcp", func(c *gateway.Config) { c.Resources[0].Path = "/a/b/mcp" }},
		{"Inspector's page allowed", publicURL, func(c *gateway.Config) { c.Resources[0].AllowedOrigins = []string{inspectorOrigin} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil, tt.edit)
			r := w.examine(tt.address, func(o *Options) { o.Register = true })
			wantExplained(t, r)
			fails, broken := r.having(Fail), r.broken()
			if strings.TrimSuffix(tt.address, "/") == publicOrigin {
				// At the root Gemini CLI wants a slash that the document of the origin
				// does not have: the doctor is to say so, as long as it is so.
				fails, broken = without(fails, checkResource), without(broken, geminiCLI)
			}
			if len(fails) > 0 || len(r.having(Warn)) > 0 || len(r.having(Skip)) > 0 || len(broken) > 0 {
				t.Errorf("broken for %v:\n%s", broken, text(t, r))
			}
			if len(r.Clients) != 13 || len(r.having(Pass)) < 30 {
				t.Errorf("%d clients, %d checks: the test proves nothing", len(r.Clients), len(r.having(Pass)))
			}
		})
	}
}

func text(t *testing.T, r *Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var (
	everybody = func() []string {
		var ids []string
		for _, f := range families {
			ids = append(ids, f.id)
		}
		return ids
	}()
	onTypeScript = []string{claudeCode, cursor, inspector, tsSDK1, tsSDK2}
)

func without(list []string, drop ...string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(drop, s) })
}

func with(list []string, more ...string) []string { return append(slices.Clone(list), more...) }

// broken is one way to break a server: what the doctor must call it, and for whom
// it must say the server is broken, exactly.
type broken struct {
	name   string
	breaks func(http.Handler) http.Handler
	edit   func(*gateway.Config)
	// address is publicURL if empty.
	address string
	fails   []string // identifiers of failed checks
	warns   []string
	clients []string // identifiers of families that would fail
}

// world is the broken server, and the address people type.
func (b broken) world(t *testing.T) (w *world, address string) {
	t.Helper()
	var edit []func(*gateway.Config)
	if b.edit != nil {
		edit = append(edit, b.edit)
	}
	w = newWorld(t, b.breaks, edit...)
	w.timeout = 2 * time.Second
	if b.address != "" {
		return w, b.address
	}
	return w, publicURL
}

func TestBrokenServers(t *testing.T) {
	t.Parallel()
	for _, group := range [][]broken{brokenGuards, brokenChallenges, brokenResources, brokenServers, brokenPages} {
		for _, tt := range group {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				w, address := tt.world(t)
				r := w.examine(address)
				if diff := cmp.Diff(tt.fails, r.having(Fail)); diff != "" {
					t.Errorf("failed checks (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.warns, r.having(Warn)); diff != "" {
					t.Errorf("warnings (-want +got):\n%s", diff)
				}
				want := slices.Sorted(slices.Values(tt.clients))
				if diff := cmp.Diff(want, r.broken()); diff != "" {
					t.Errorf("broken clients (-want +got):\n%s", diff)
				}
				wantExplained(t, r)
				if t.Failed() {
					t.Log(text(t, r))
				}
			})
		}
	}
}

// wantExplained checks what is true of every report: findings have evidence and a
// mend, blockers name checks that failed, and the exit status follows.
func wantExplained(t *testing.T, r *Report) {
	t.Helper()
	status := map[string]Status{}
	for _, c := range r.Checks {
		if _, twice := status[c.ID]; twice {
			t.Errorf("two checks %s", c.ID)
		}
		status[c.ID] = c.Status
		if (c.Status == Fail || c.Status == Warn) && c.Mend == "" {
			t.Errorf("%s has no mend", c.ID)
		}
		if c.Status == Fail && len(c.Evidence) == 0 {
			t.Errorf("%s has no evidence", c.ID)
		}
		for _, id := range c.Affects {
			if !slices.Contains(everybody, id) {
				t.Errorf("%s affects %q, which is nobody", c.ID, id)
			}
		}
	}
	for _, v := range r.Clients {
		for _, b := range v.Blockers {
			if status[b.Check] != Fail && b.Check != checkAddress || !slices.Contains(r.check(t, b.Check).Affects, v.ID) {
				t.Errorf("%s fails at %s, which is %q and affects %v", v.ID, b.Check, status[b.Check], r.check(t, b.Check).Affects)
			}
		}
	}
	if r.Failed != slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Status == Fail }) {
		t.Errorf("Failed is %v", r.Failed)
	}
}

// The doctor must do no harm: it follows the list of what it may send.
func TestOnlyHarmlessRequestsAreSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.examine(publicURL)
	for _, r := range w.seen() {
		if r.URL.Path == "/register" && r.Method != http.MethodOptions {
			t.Errorf("%s %s without --register", r.Method, r.URL)
		}
		if a := r.Header.Get("Authorization"); a != "" && a != "Bearer "+noToken {
			t.Errorf("Authorization %q", a)
		}
		if r.Header.Get("Cookie") != "" || r.URL.RawQuery != "" {
			t.Errorf("%s with cookies %q", r.URL, r.Header.Get("Cookie"))
		}
	}
	if n := len(w.seen()); n < 20 || n > 30 {
		t.Errorf("%d requests", n)
	}
	w.examine(publicURL, func(o *Options) { o.Register = true })
	n := 0
	for _, r := range w.seen() {
		if r.URL.Path == "/register" && r.Method == http.MethodPost {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d registrations, want 2", n)
	}
}

// A server without a guard opens a session for the probe. It is ended again.
func TestSessionOfAnOpenServerIsEnded(t *testing.T) {
	t.Parallel()
	var ended string
	w := newWorld(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodDelete {
				ended = r.Header.Get("Mcp-Session-Id")
			}
			w.Header().Set("Mcp-Session-Id", "s-1")
			_, _ = io.WriteString(w, "{}")
		})
	})
	if r := w.examine(publicURL); r.check(t, checkUnauthenticated).Status != Fail {
		t.Errorf("an open server passes:\n%s", text(t, r))
	}
	if ended != "s-1" {
		t.Errorf("DELETE named the session %q", ended)
	}
}

// What a server hands out at registration is a secret, and in no report.
func TestReportHasNoSecretOfTheRegistration(t *testing.T) {
	t.Parallel()
	for _, code := range []int{http.StatusCreated, http.StatusOK, http.StatusInternalServerError} {
		w := newWorld(t, at("/register", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, `{"client_id":"SECRET-1","client_secret":"SECRET-2","registration_access_token":"SECRET-3"}`)
		}, http.MethodPost))
		r := w.examine(publicURL, func(o *Options) { o.Register = true })
		var js strings.Builder
		if err := r.WriteJSON(&js); err != nil {
			t.Fatal(err)
		}
		if all := text(t, r) + js.String(); strings.Contains(all, "SECRET") {
			t.Errorf("%d: the report shows what was registered:\n%s", code, all)
		}
		if got := r.check(t, checkRegisterPublic); got.Status != Fail {
			t.Errorf("%d: %+v", code, got)
		}
	}
}

// A hosted client cannot reach what is at home, and everything else still works.
func TestPrivateAddressesAreForLocalClients(t *testing.T) {
	t.Parallel()
	hosted := []string{chatGPT, claudeHosted, grok, secretKeeper}
	for _, address := range []string{"127.0.0.1", "::1", "10.1.2.3", "192.168.1.2", "172.20.0.1", "169.254.1.1", "fd00::1", "fe80::1", "100.100.1.1", "::ffff:10.0.0.1"} {
		w := newWorld(t, nil)
		w.address = netip.MustParseAddr(address)
		r := w.examine(publicURL)
		if diff := cmp.Diff(hosted, r.broken()); diff != "" {
			t.Errorf("%s: broken clients (-want +got):\n%s", address, diff)
		}
		if c := r.check(t, checkAddress); c.Status != Warn || r.Failed || !strings.Contains(c.Mend, "claude.ai") {
			t.Errorf("%s: %+v", address, c)
		}
	}
	w := newWorld(t, nil)
	w.address = netip.MustParseAddr("2606:2800:21f:cb07:6820:80da:af6b:8b2c")
	if r := w.examine(publicURL); r.Failed {
		t.Errorf("a public IPv6 address fails:\n%s", text(t, r))
	}
}

// Two clocks that disagree are a warning and not a failure.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	for skew, want := range map[time.Duration]Status{0: Pass, 30 * time.Second: Pass, -30 * time.Second: Pass, 3 * time.Minute: Warn, -3 * time.Hour: Warn} {
		w := newWorld(t, nil)
		w.now = func() time.Time { return time.Now().Add(skew) }
		if c := w.examine(publicURL).check(t, checkClock); c.Status != want {
			t.Errorf("%v: %+v", skew, c)
		}
	}
	w := newWorld(t, header("/mcp", 401, "Date", "yesterday"))
	if c := w.examine(publicURL).check(t, checkClock); c.Status != Skip {
		t.Errorf("without a date: %+v", c)
	}
}
