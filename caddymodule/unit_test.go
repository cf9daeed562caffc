// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

func TestSplitBackend(t *testing.T) {
	for _, tt := range []struct{ in, addr, path, err string }{
		{in: "localhost:3000", addr: "localhost:3000"},
		{in: "localhost:3000/mcp", addr: "localhost:3000", path: "/mcp"},
		{in: "localhost:3000/mcp/", addr: "localhost:3000", path: "/mcp"},
		{in: "localhost:3000/", addr: "localhost:3000", path: "/"},
		{in: "localhost/mcp", addr: "localhost", path: "/mcp"},
		{in: "http://x:1/mcp", addr: "http://x:1", path: "/mcp"},
		{in: "https://x/a/b", addr: "https://x", path: "/a/b"},
		{in: "h2c://x:1", addr: "h2c://x:1"},
		{in: "[::1]:3000/mcp", addr: "[::1]:3000", path: "/mcp"},
		{in: "tcp/localhost:1/mcp", addr: "tcp/localhost:1", path: "/mcp"},
		{in: "tcp6/[::1]:1", addr: "tcp6/[::1]:1"},
		{in: "unix//run/x.sock", addr: "unix//run/x.sock"},
		{in: "unix+h2c//run/x.sock", addr: "unix+h2c//run/x.sock"},
		{in: "fd/3", addr: "fd/3"},
		{in: "{env.BACKEND}", addr: "{env.BACKEND}"},
		{in: "{env.HOST}:80/mcp", addr: "{env.HOST}:80/mcp"},
		{in: "localhost:3000-3002/mcp", addr: "localhost:3000-3002", path: "/mcp"},
		{in: "x:1/a?b", err: "query"},
		{in: "http://x/#a", err: "fragment"},
		{in: "x:1/a//b", err: "plainly"},
		{in: "x:1/a/../b", err: "plainly"},
		{in: "x:1/a%2fb", err: "plainly"},
		{in: "x:1/ä", err: "plainly"},
		{in: "http:///mcp", err: "no host"},
	} {
		addr, path, err := splitBackend(tt.in)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: error %v, want one about %q", tt.in, err, tt.err)
			}
			continue
		}
		if err != nil || addr != tt.addr || path != tt.path {
			t.Errorf("%s: got %q %q %v, want %q %q", tt.in, addr, path, err, tt.addr, tt.path)
		}
	}
}

func TestDialAddr(t *testing.T) {
	for in, want := range map[string]string{
		"localhost:3000": "localhost:3000", "http://x": "x:80", "https://x": "x:443", "https://x:8443": "x:8443",
		"http://[::1]": "[::1]:80", "http://[::1]:3000": "[::1]:3000", "h2c://x": "x:80",
	} {
		if got := dialAddr(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	if diff := cmp.Diff([]string{"x:443", "y:3000", "x"}, withoutDefaultPorts([]string{"x:443", "y:3000"})); diff != "" {
		t.Errorf("names of backends (-want +got):\n%s", diff)
	}
}

// FuzzSplitBackend: nothing is lost or added but slashes at the end, and a path is
// one that the guard can rewrite to.
func FuzzSplitBackend(f *testing.F) {
	for _, s := range []string{"localhost:3000/mcp", "https://x/", "unix//a", "tcp/x/y", "{env.X}/y", "a/b/c", "://", "/", "x:1/a/./b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		addr, path, err := splitBackend(s)
		if err != nil {
			return
		}
		if got := addr + path; got != s && strings.TrimSuffix(s, "/") != strings.TrimSuffix(got, "/") {
			t.Errorf("%q became %q and %q", s, addr, path)
		}
		if path != "" && (path[0] != '/' || strings.Contains(path, "//") || hasDotSegment(path) || strings.ContainsAny(path, "?#%")) {
			t.Errorf("%q has the path %q", s, path)
		}
	})
}

func TestParseOrigin(t *testing.T) {
	for in, want := range map[string]string{
		"https://mcp.example.com":         "https://mcp.example.com",
		"https://MCP.example.com/":        "https://mcp.example.com",
		"https://mcp.example.com:443":     "https://mcp.example.com",
		"https://mcp.example.com:8443":    "https://mcp.example.com:8443",
		"https://192.0.2.1":               "https://192.0.2.1",
		"https://[2001:db8::1]":           "https://[2001:db8::1]",
		"https://[2001:db8::1]:8443":      "https://[2001:db8::1]:8443",
		"http://localhost:8080":           "http://localhost:8080",
		"http://localhost:80":             "http://localhost",
		"http://127.0.0.9":                "http://127.0.0.9",
		"http://[::1]:8080":               "http://[::1]:8080",
		"https://xn--bcher-kva.example":   "https://xn--bcher-kva.example",
		"":                                "",
		"mcp.example.com":                 "",
		"//mcp.example.com":               "",
		"https://":                        "",
		"https://mcp.example.com/mcp":     "",
		"https://mcp.example.com?x":       "",
		"https://mcp.example.com/?":       "",
		"https://mcp.example.com#":        "",
		"https://u@mcp.example.com":       "",
		"https://mcp.example.com:":        "",
		"https://mcp.example.com:0":       "",
		"https://mcp.example.com:99999":   "",
		"https://*.example.com":           "",
		"https://{env.HOST}":              "",
		"https://mcp.example.com.":        "",
		"https://bücher.example":          "",
		"http://mcp.example.com":          "",
		"http://localhost.example.com":    "",
		"http://127.0.0.1.example.com":    "",
		"ftp://mcp.example.com":           "",
		"https://mcp example.com":         "",
		"https://[fe80::1%25eth0]":        "",
		"javascript://mcp.example.com":    "",
		"https://mcp.example.com\r\nX: y": "",
	} {
		o, err := parseOrigin(in)
		if want == "" {
			if err == nil {
				t.Errorf("%q was taken for %s", in, o.url)
			}
			continue
		}
		if err != nil || o.url != want {
			t.Errorf("%q: got %q, %v; want %q", in, o.url, err, want)
		}
	}
}

// FuzzParseOrigin: what is accepted satisfies the gateway and is stable.
func FuzzParseOrigin(f *testing.F) {
	for _, s := range []string{"https://mcp.example.com", "http://localhost:8080/", "https://[::1]:1", "https://a:443", "https://A.b."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o, err := parseOrigin(s)
		if err != nil {
			return
		}
		if err := gateway.ValidateIssuer(o.url); err != nil {
			t.Errorf("%q: %v", s, err)
		}
		if again, err := parseOrigin(o.url); err != nil || again != o {
			t.Errorf("%q is not stable: %+v, then %+v, %v", s, o, again, err)
		}
		if u, err := url.Parse(o.url); err != nil || hostOf(u.Host) != o.host {
			t.Errorf("%q: a request for %s would have host %s, not %s", s, o.url, hostOf(u.Host), o.host)
		}
	})
}

func TestParseRate(t *testing.T) {
	for in, want := range map[string]gateway.Rate{
		"off": {}, "1/1s": {Events: 1, Per: time.Second}, "300/10m": {Events: 300, Per: 10 * time.Minute}, "5/1d": {Events: 5, Per: 24 * time.Hour},
	} {
		if got, err := parseRate(in); err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "5", "5/", "/1s", "-5/1s", "0/1s", "5/-1s", "5/0s", "5/1", "1e3/1s", "off/1s", "99999999999/1s", "OFF"} {
		if got, err := parseRate(in); err == nil {
			t.Errorf("%q was taken for %v", in, got)
		}
	}
}

func FuzzParseRate(f *testing.F) {
	f.Add("300/10m")
	f.Add("off")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseRate(s)
		if err != nil || s == rateOff {
			return
		}
		if r.Events <= 0 || r.Per <= 0 {
			t.Errorf("%q is %v: no limit, without saying off", s, r)
		}
	})
}

// FuzzCheckPath: an accepted path matches itself and what is below it, and is no
// pattern for anything else.
func FuzzCheckPath(f *testing.F) {
	for _, s := range []string{"/mcp", "/", "/a/b", "/MCP", "/a*", "/.well-known/x", "/a/../b", "/token"} {
		f.Add(s, "/other")
	}
	f.Fuzz(func(t *testing.T, p, other string) {
		if checkPath(p) != nil || p == "/" {
			return
		}
		m := pathMatcher(p)
		for _, inside := range []string{p, p + "/", p + "/x"} {
			if !m.Match(requestFor(inside)) {
				t.Errorf("%q does not cover %q", p, inside)
			}
		}
		if gateway.ReservedPath(p) {
			t.Errorf("%q is reserved", p)
		}
		clean := strings.ToLower(caddyhttp.CleanPath(other, true))
		covers := clean == strings.ToLower(p) || strings.HasPrefix(clean, strings.ToLower(p)+"/")
		if strings.HasPrefix(other, "/") && m.Match(requestFor(other)) != covers {
			t.Errorf("%q covers %q: %v", p, other, !covers)
		}
	})
}

func requestFor(path string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.URL = &url.URL{Path: path}
	return caddyhttp.PrepareRequest(r, newReplacer(), httptest.NewRecorder(), new(caddyhttp.Server))
}

func TestCheckName(t *testing.T) {
	for _, ok := range []string{"Weather", "Wetter für alle", "天気"} {
		if err := checkName(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	// The consent page shows the name; it must be what it looks like.
	for _, bad := range []string{"", " ", "a\nb", "safe\u202egnp.exe", "a\u200bb", "\xff", strings.Repeat("x", maxNameLen+1)} {
		if checkName(bad) == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// TLS 1.3 early data can be replayed by whoever recorded it: a request that
// changes something has to come again.
func TestEarlyDataIsSentBack(t *testing.T) {
	for _, tt := range []struct {
		method   string
		complete bool
		early    bool
	}{
		{http.MethodPost, false, true},
		{http.MethodDelete, false, true},
		{http.MethodGet, false, false},
		{http.MethodOptions, false, false},
		{http.MethodPost, true, false},
	} {
		r := httptest.NewRequest(tt.method, "/mcp", nil)
		r.TLS = &tls.ConnectionState{HandshakeComplete: tt.complete}
		if got := isEarlyData(r); got != tt.early {
			t.Errorf("%s, handshake complete %v: %v", tt.method, tt.complete, got)
		}
	}
	if isEarlyData(httptest.NewRequest(http.MethodPost, "/mcp", nil)) {
		t.Error("plain http has no early data")
	}
}

// The state outlives configurations, and their log files are closed with them.
func TestLogSwitchFollowsTheConfiguration(t *testing.T) {
	var first, second bytes.Buffer
	logs := newLogSwitch(slog.New(slog.NewTextHandler(&first, nil)))
	derived := slog.New(logs).With("a", 1).WithGroup("g").With("b", 2)
	derived.Info("one")
	logs.set(slog.New(slog.NewTextHandler(&second, &slog.HandlerOptions{Level: slog.LevelWarn})))
	derived.Warn("two", "c", 3)
	derived.InfoContext(context.Background(), "hidden")
	if !strings.Contains(first.String(), "msg=one a=1 g.b=2") || strings.Contains(first.String(), "two") {
		t.Errorf("first: %s", first.String())
	}
	if !strings.Contains(second.String(), "msg=two a=1 g.b=2 g.c=3") || strings.Contains(second.String(), "hidden") {
		t.Errorf("second: %s", second.String())
	}
}

// Errors of the handlers behind are theirs: they keep their status.
func TestErrorsOfNextAreUnchanged(t *testing.T) {
	s, b := newSite(t), newBackend(t, nil)
	b.Close()
	s.load(s.config("", "mcp_gateway /mcp "+b.addr()))
	s.wantStatus(http.StatusBadGateway, http.MethodPost, "/mcp", s.signIn(s.url+"/mcp"))
}

// During a reload the state follows the newer configuration, and the older one
// again if that is all that is left.
func TestSharedStateFollows(t *testing.T) {
	var older, newer bytes.Buffer
	user := func(b *bytes.Buffer) stateUser {
		return stateUser{app: new(App), ring: token.NewRing(token.Key{}), logger: slog.New(slog.NewTextHandler(b, nil)), allowed: judge(nil)}
	}
	first, second := user(&older), user(&newer)
	engine := &memoryEngine{}
	shared, err := acquireState(engine, first)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := acquireState(engine, second); err != nil || again != shared || engine.opened != 1 {
		t.Fatalf("opened %d times: %v", engine.opened, err)
	}
	logger := slog.New(shared.logs)
	logger.Info("reloading")
	if err := shared.release(second.app); err != nil {
		t.Fatal(err)
	}
	logger.Info("failed")
	if err := shared.release(first.app); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(newer.String(), "reloading") || !strings.Contains(older.String(), "failed") || strings.Contains(older.String(), "reloading") {
		t.Errorf("older: %s\nnewer: %s", older.String(), newer.String())
	}
	if engine.closed != 1 {
		t.Errorf("closed %d times, want once, by the last", engine.closed)
	}
}

// A state that cannot be opened leaves nothing behind, so that the next attempt
// can succeed.
func TestOpenFailureIsNotKept(t *testing.T) {
	engine := &memoryEngine{fail: errors.New("disk full")}
	user := stateUser{app: new(App), ring: token.NewRing(token.Key{}), logger: slog.New(slog.DiscardHandler), allowed: judge(nil)}
	if _, err := acquireState(engine, user); !errors.Is(err, engine.fail) {
		t.Fatalf("got %v", err)
	}
	engine.fail = nil
	shared, err := acquireState(engine, user)
	if err != nil {
		t.Fatal(err)
	}
	if err := shared.release(user.app); err != nil || engine.closed != 1 {
		t.Errorf("closed %d times, %v", engine.closed, err)
	}
}

// A configuration with another key is refused, at a start and beside a running one,
// and the store stays as open or as closed as it was.
func TestAnotherEncryptionKeyIsRefused(t *testing.T) {
	engine := &memoryEngine{}
	user := func(key byte) stateUser {
		return stateUser{app: new(App), ring: token.NewRing(token.Key{key}), logger: slog.New(slog.DiscardHandler), allowed: judge(nil)}
	}
	running := user(1)
	shared, err := acquireState(engine, running)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := acquireState(engine, user(2)); !errors.Is(err, gateway.ErrWrongKey) || !strings.Contains(err.Error(), "encryption_key has to name it") {
		t.Errorf("beside a running configuration: %v", err)
	}
	if engine.closed != 0 {
		t.Error("the refused configuration closed the store of the running one")
	}
	if err := shared.release(running.app); err != nil || engine.closed != 1 {
		t.Fatalf("closed %d times, %v", engine.closed, err)
	}
	if _, err := acquireState(engine, user(2)); !errors.Is(err, gateway.ErrWrongKey) {
		t.Errorf("at a start: %v", err)
	}
	if engine.closed != 2 {
		t.Errorf("closed %d times after a start that failed, want 2", engine.closed)
	}
}

// memoryEngine counts how often it is opened and closed.
type memoryEngine struct {
	storage.Store
	fail           error
	opened, closed int
	keys           []*storage.Key
}

func (e *memoryEngine) Keys(context.Context, string) ([]*storage.Key, error) { return e.keys, nil }

func (e *memoryEngine) CreateKey(_ context.Context, k *storage.Key) error {
	e.keys = append(e.keys, k)
	return nil
}

func (e *memoryEngine) PoolKey() string { return "memory:" + fmt.Sprintf("%p", e) }
func (e *memoryEngine) KeyFile() string { return "" }
func (e *memoryEngine) Close() error    { e.closed++; return nil }

func (e *memoryEngine) Open(*slog.Logger) (storage.Store, error) {
	e.opened++
	return e, e.fail
}
