// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// events is an event stream that a test feeds.
type events struct {
	feed  chan string
	ended chan struct{}
}

func newEvents() *events { return &events{feed: make(chan string), ended: make(chan struct{}, 10)} }

func (e *events) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	for {
		select {
		case <-r.Context().Done():
			e.ended <- struct{}{}
			return
		case text := <-e.feed:
			_, _ = io.WriteString(w, text+"\n")
			_ = http.NewResponseController(w).Flush()
		}
	}
}

// openStream opens an event stream and returns its lines; the channel is closed
// when the stream ends.
func (s *gateSite) openStream(path, token string) <-chan string {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("stream: %s", resp.Status)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		defer resp.Body.Close()
		for scan := bufio.NewScanner(resp.Body); scan.Scan(); {
			lines <- scan.Text()
		}
	}()
	return lines
}

func wantLine(t *testing.T, e *events, lines <-chan string, text string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	select {
	case e.feed <- text:
	case <-deadline:
		t.Fatalf("the backend no longer streams; %q was not sent", text)
	}
	select {
	case got, ok := <-lines:
		if !ok || got != text {
			t.Fatalf("the client got %q (open: %v), want %q", got, ok, text)
		}
	case <-deadline:
		t.Fatalf("%q did not arrive", text)
	}
}

func wantEnd(t *testing.T, lines <-chan string) {
	t.Helper()
	select {
	case line, ok := <-lines:
		if ok {
			t.Errorf("the stream goes on with %q", line)
		}
	case <-time.After(10 * time.Second):
		t.Error("the stream did not end")
	}
}

// Reloading is a non-event: streams and sign-ins survive it, a hundred times, and
// the file is never opened twice.
func TestReloadsAreNoEvent(t *testing.T) {
	e := newEvents()
	s, b := newSite(t), newBackend(t, e.serve)
	config := func(i int) []byte {
		return s.config("", fmt.Sprintf("mcp_gateway /mcp %s\nrespond /version v%d", b.addr(), i))
	}
	s.load(config(0))
	token := s.signIn(s.url + "/mcp")
	lines := s.openStream("/mcp", token)
	wantLine(t, e, lines, "data: before")
	for i := 1; i <= 100; i++ {
		if err := caddy.Load(config(i), true); err != nil {
			t.Fatalf("reload %d: %v", i, err)
		}
	}
	if resp := s.request(http.MethodGet, "/version", ""); resp.body != "v100" {
		t.Errorf("the last configuration does not serve: %q", resp.body)
	}
	s.wantStatus(http.StatusOK, http.MethodPost, "/mcp", token)
	wantLine(t, e, lines, "data: after")
	if n, ok := statePool.References(poolKey(s)); !ok || n != 1 {
		t.Errorf("%d references to the state, want 1", n)
	}
}

func poolKey(s *gateSite) string {
	b := &Bolt{path: filepath.Join(caddy.AppDataDir(), "mcp_oauth", "state.db")}
	if !strings.HasPrefix(b.path, s.dir) {
		s.t.Fatalf("the state is at %s", b.path)
	}
	return b.PoolKey()
}

// A reload that fails, before or after the state was acquired, takes nothing away
// from the configuration that goes on, its encryption key least of all.
func TestFailingReloadChangesNothing(t *testing.T) {
	e := newEvents()
	s, b := newSite(t), newBackend(t, e.serve)
	t.Setenv("KEY_A", fakeSecret)
	t.Setenv("KEY_B", base64.StdEncoding.EncodeToString([]byte(strings.Repeat("b", 32))))
	directive := "mcp_gateway /mcp " + b.addr()
	s.load(s.config("encryption_key {env.KEY_A}", directive))
	token := s.signIn(s.url + "/mcp")
	lines := s.openStream("/mcp", token)

	occupied, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer occupied.Close()
	busy := string(s.config("encryption_key {env.KEY_B}", directive))
	busy = strings.Replace(busy, fmt.Sprintf(`"listen":[":%d"]`, s.port), fmt.Sprintf(`"listen":[":%d",%q]`, s.port, occupied.Addr()), 1)
	notKey := s.config("encryption_key {env.UNSET_VARIABLE}", directive)
	for name, bad := range map[string][]byte{"unset key": notKey, "port in use": onPort(t, busy, occupied)} {
		// Apps start in random order: in one of them the state was acquired.
		for range 20 {
			if err := caddy.Load(bad, true); err == nil {
				t.Fatalf("%s: loaded", name)
			}
			s.wantStatus(http.StatusOK, http.MethodPost, "/mcp", token)
		}
	}
	wantLine(t, e, lines, "data: still here")
	if n, _ := statePool.References(poolKey(s)); n != 1 {
		t.Errorf("%d references to the state, want 1", n)
	}
}

// onPort gives a configuration a second server that cannot start.
func onPort(t *testing.T, config string, taken net.Listener) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(config), &m); err != nil {
		t.Fatal(err)
	}
	servers := m["apps"].(map[string]any)["http"].(map[string]any)["servers"].(map[string]any)
	servers["srv0"].(map[string]any)["listen"] = servers["srv0"].(map[string]any)["listen"].([]any)[:1]
	servers["busy"] = map[string]any{"listen": []string{taken.Addr().String()}}
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// testGate holds a request back before it reaches the gateway.
type testGate struct{}

var gateArrived, gateOpen = make(chan struct{}), make(chan struct{})

func (testGate) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_gate", New: func() caddy.Module { return new(testGate) }}
}

func (testGate) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if r.Header.Get("X-Gate") != "" {
		gateArrived <- struct{}{}
		<-gateOpen
	}
	return next.ServeHTTP(w, r)
}

func init() {
	caddy.RegisterModule(testGate{})
	httpcaddyfile.RegisterHandlerDirective("test_gate", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next()
		return testGate{}, nil
	})
	httpcaddyfile.RegisterDirectiveOrder("test_gate", httpcaddyfile.Before, "rewrite")
}

// A reload removes the gateway while a request is on its way to it: the state is
// closed under the request, which must end as unavailable, and admit nobody.
func TestHandlerRemovedWithRequestInFlight(t *testing.T) {
	s, b := newSite(t), newBackend(t, nil)
	with := s.config("", "test_gate\nmcp_gateway /mcp "+b.addr())
	s.load(with)
	token := s.signIn(s.url + "/mcp")
	if err := caddy.Stop(); err != nil { // so that the grant is in no memory
		t.Fatal(err)
	}
	if err := caddy.Load(with, true); err != nil {
		t.Fatal(err)
	}
	done := make(chan *response, 1)
	go func() {
		done <- s.request(http.MethodPost, "/mcp", token, func(r *http.Request) { r.Header.Set("X-Gate", "1") })
	}()
	select {
	case <-gateArrived:
	case resp := <-done:
		t.Fatalf("the request was not held back: %d %s", resp.status, resp.body)
	}
	without := s.adapt(s.url + " {\nrespond gone\n}\n")
	if err := caddy.Load(without, true); err != nil {
		t.Fatal(err)
	}
	gateOpen <- struct{}{}
	if resp := <-done; resp.status != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503: %s", resp.status, resp.body)
	}
	if n := b.hits.Load(); n != 0 {
		t.Errorf("the backend saw %d requests", n)
	}
	if resp := s.request(http.MethodGet, "/mcp", ""); resp.body != "gone" {
		t.Errorf("the new configuration does not serve: %q", resp.body)
	}
	if err := caddy.Load(with, true); err != nil {
		t.Fatalf("the state cannot be opened again: %v", err)
	}
	s.wantStatus(http.StatusOK, http.MethodPost, "/mcp", token)
}

// Removing somebody from allow ends their open streams at the reload, keeping the
// key they signed in under ends nothing, and removing it ends every token.
func TestReloadAppliesPolicyAndKeys(t *testing.T) {
	e := newEvents()
	s, b := newSite(t), newBackend(t, e.serve)
	t.Setenv("KEY_A", fakeSecret)
	t.Setenv("KEY_B", base64.StdEncoding.EncodeToString([]byte(strings.Repeat("b", 32))))
	gateway := func(allow string) string { return "mcp_gateway /mcp " + b.addr() + " {\nallow " + allow + "\n}" }
	reload := func(options, allow string) {
		t.Helper()
		if err := caddy.Load(s.config(options, gateway(allow)), true); err != nil {
			t.Fatal(err)
		}
	}
	s.load(s.config("encryption_key {env.KEY_A}", gateway("local:alice")))
	token := s.signIn(s.url + "/mcp")
	lines := s.openStream("/mcp", token)

	reload("encryption_key {env.KEY_B} {env.KEY_A}", "local:alice")
	s.wantStatus(http.StatusOK, http.MethodPost, "/mcp", token)
	wantLine(t, e, lines, "data: allowed")

	reload("encryption_key {env.KEY_B} {env.KEY_A}", "local:bob")
	wantEnd(t, lines)
	s.wantStatus(http.StatusForbidden, http.MethodPost, "/mcp", token)

	reload("encryption_key {env.KEY_B} {env.KEY_A}", "local:alice")
	s.wantStatus(http.StatusOK, http.MethodPost, "/mcp", token)
	reload("encryption_key {env.KEY_B}", "local:alice")
	s.wantStatus(http.StatusUnauthorized, http.MethodPost, "/mcp", token)
}

// Two sites share one file, and nothing else: each is its own issuer.
func TestTwoSitesShareOneFile(t *testing.T) {
	s, b := newSite(t), newBackend(t, nil)
	other := &gateSite{t: t, dir: s.dir, port: freePort(t)}
	other.url = fmt.Sprintf("http://localhost:%d", other.port)
	site := " {\nmcp_gateway /mcp " + b.addr() + "\n}\n"
	s.load(s.adapt(withUpstream("", s.url+site+other.url+site)))
	token, otherToken := s.signIn(s.url+"/mcp"), other.signIn(other.url+"/mcp")
	s.wantStatus(http.StatusOK, http.MethodPost, "/mcp", token)
	other.wantStatus(http.StatusOK, http.MethodPost, "/mcp", otherToken)
	s.wantStatus(http.StatusUnauthorized, http.MethodPost, "/mcp", otherToken)
	other.wantStatus(http.StatusUnauthorized, http.MethodPost, "/mcp", token)
}

// `caddy validate` beside a running server, perhaps as root, must neither wait for
// the lock of the file nor make or change one.
func TestValidateLeavesTheStateAlone(t *testing.T) {
	s, b := newSite(t), newBackend(t, nil)
	config := s.config("", "mcp_gateway /mcp "+b.addr())
	s.load(config)
	s.wantStatus(http.StatusUnauthorized, http.MethodGet, "/mcp", "")
	state := filepath.Join(caddy.AppDataDir(), "mcp_oauth", "state.db")
	before := fileSum(t, state)
	check := func(config []byte) {
		t.Helper()
		var cfg caddy.Config
		if err := json.Unmarshal(config, &cfg); err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		if err := caddy.Validate(&cfg); err != nil {
			t.Fatalf("validate: %v", err)
		}
		if d := time.Since(started); d > 30*time.Second {
			t.Errorf("validate took %s", d)
		}
	}
	check(config)
	if fileSum(t, state) != before {
		t.Error("validate changed the file")
	}
	fresh := filepath.Join(s.dir, "fresh", "state.db")
	check(s.config("storage bolt "+fresh, "mcp_gateway /mcp "+b.addr()))
	if _, err := os.Stat(filepath.Dir(fresh)); !os.IsNotExist(err) {
		t.Errorf("validate made %s: %v", filepath.Dir(fresh), err)
	}
	s.wantStatus(http.StatusUnauthorized, http.MethodGet, "/mcp", "")
}

func fileSum(t *testing.T, file string) [32]byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(content)
}
