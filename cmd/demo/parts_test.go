// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseOptions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		args    []string
		env     map[string]string
		want    options
		wantErr string
	}{
		{name: "defaults", want: options{port: 8080, caddy: "./caddy", state: defaultState()}},
		{
			name: "flags",
			args: []string{"-port", "9000", "-backend-port=9001", "-caddy", "/bin/caddy", "-state", "", "-v"},
			want: options{port: 9000, backendPort: 9001, caddy: "/bin/caddy", verbose: true},
		},
		{
			name: "environment",
			env:  map[string]string{envPort: "9000", envBackend: "9001", envCaddy: "c"},
			want: options{port: 9000, backendPort: 9001, caddy: "c", state: defaultState()},
		},
		{
			name: "a flag beats the environment",
			args: []string{"-port", "9002"}, env: map[string]string{envPort: "9000"},
			want: options{port: 9002, caddy: "./caddy", state: defaultState()},
		},
		{name: "no number in the environment", env: map[string]string{envPort: "http"}, wantErr: envPort},
		{name: "no number in a flag", args: []string{"-port", "http"}, wantErr: "http"},
		{name: "port zero", args: []string{"-port", "0"}, wantErr: "not a port number"},
		{name: "port too high", args: []string{"-port", "65536"}, wantErr: "not a port number"},
		{name: "negative backend port", args: []string{"-backend-port", "-1"}, wantErr: "not a port number"},
		{name: "the same port twice", args: []string{"-backend-port", "8080"}, wantErr: "both 8080"},
		{name: "stray argument", args: []string{"start"}, wantErr: `"start"`},
		{name: "unknown flag", args: []string{"-prot", "1"}, wantErr: "prot"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseOptions(tc.args, func(name string) string { return tc.env[name] }, io.Discard)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("error %v, want one about %q", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(options{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestHelpNamesEveryOption(t *testing.T) {
	t.Parallel()
	var usage bytes.Buffer
	_, err := parseOptions([]string{"-h"}, func(string) string { return "" }, &usage)
	if !errors.Is(err, flag.ErrHelp) {
		t.Errorf("error %v, want flag.ErrHelp", err)
	}
	for _, want := range []string{"-port", "-backend-port", "-caddy", "-v", envPort, envBackend, envCaddy} {
		if !strings.Contains(usage.String(), want) {
			t.Errorf("usage does not mention %s:\n%s", want, usage.String())
		}
	}
}

func TestCaddyfile(t *testing.T) {
	t.Parallel()
	got := caddyfile(siteConfig{
		port: 8081, backend: "127.0.0.1:3000", bind: []string{"127.0.0.1", "::1"},
		statePath: "/tmp/a b/state.db", hash: "$2a$10$hash",
	})
	want := `{
	admin off
	mcp_oauth {
		storage bolt "/tmp/a b/state.db"
		local {
			user demo $2a$10$hash demo@example.com family
		}
		allow local:demo
	}
}

http://localhost:8081 {
	bind 127.0.0.1 ::1
	mcp_gateway /mcp 127.0.0.1:3000 {
		name "Demo tools"
	}
}
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A client keeps its registration; a demo that forgot it would greet the second
// visit with an error page.
func TestStateOutlivesTheDemo(t *testing.T) {
	t.Parallel()
	kept := filepath.Join(t.TempDir(), "kept")
	dir, err := newWorkdir(kept)
	if err != nil {
		t.Fatal(err)
	}
	if got := dir.statePath(); filepath.Dir(got) != kept {
		t.Errorf("state at %s, want it in %s", got, kept)
	}
	if err := os.Mkdir(kept, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := dir.remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("the kept state was removed: %v", err)
	}
	var out bytes.Buffer
	if err := (announcement{state: kept}).write(&out); err != nil || !strings.Contains(out.String(), kept) {
		t.Errorf("the user is not told where it is: %v\n%s", err, out.String())
	}
}

func TestAnnouncementCanBeCopied(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	a := announcement{
		url: "http://localhost:8080/mcp", user: "demo", password: "pw123",
		backend: "http://127.0.0.1:3000", config: "/tmp/x/Caddyfile",
	}
	if err := a.write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"MCP URL    http://localhost:8080/mcp\n",
		"User       demo\n",
		"Password   pw123\n",
		"npx @modelcontextprotocol/inspector --transport http --server-url http://localhost:8080/mcp\n",
		"npx @modelcontextprotocol/inspector --cli --transport http --server-url http://localhost:8080/mcp --method tools/call --tool-name whoami\n",
		"claude mcp add --transport http demo http://localhost:8080/mcp\n",
		`code --add-mcp '{"name":"demo","type":"http","url":"http://localhost:8080/mcp"}'` + "\n",
		"/tmp/x/Caddyfile",
		"http://127.0.0.1:3000",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("missing %q in:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "%!") {
		t.Errorf("broken format:\n%s", out.String())
	}
	if err := a.write(brokenWriter{}); err == nil {
		t.Error("a failed print went unnoticed")
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestPasswordsAreFreshAndHashed(t *testing.T) {
	t.Parallel()
	first, firstHash, err := newPassword()
	if err != nil {
		t.Fatal(err)
	}
	second, secondHash, err := newPassword()
	if err != nil {
		t.Fatal(err)
	}
	if first == second || firstHash == secondHash {
		t.Error("two runs have the same password")
	}
	if len(first) != passwordLength || strings.ToLower(first) != first {
		t.Errorf("password %q, want %d lower-case characters", first, passwordLength)
	}
}

// Only a proper refusal counts as ready: a foreign server, an open backend and
// a bare 401 must not be announced as a working gateway.
func TestGuarded(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		status    int
		challenge string
		ok        bool
	}{
		{name: "refusal with metadata", status: 401, challenge: `Bearer resource_metadata="http://localhost/x"`, ok: true},
		{name: "bare 401", status: 401},
		{name: "somebody else's 401", status: 401, challenge: `Basic realm="router"`},
		{name: "open", status: 200},
		{name: "bad gateway", status: 502},
		{name: "redirect", status: 302},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("WWW-Authenticate", tc.challenge)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tc.status)
			}))
			t.Cleanup(server.Close)
			err := guarded(t.Context(), server.URL)
			if tc.ok != (err == nil) {
				t.Errorf("error %v, want ok = %v", err, tc.ok)
			}
			if !tc.ok && !errors.Is(err, errNotReady) {
				t.Errorf("error %v does not wrap errNotReady", err)
			}
		})
	}
}

func TestWaitReadyGivesUpWhenCaddyDied(t *testing.T) {
	t.Parallel()
	died := make(chan struct{})
	close(died)
	if err := waitReady(t.Context(), "http://127.0.0.1:1/mcp", died); !errors.Is(err, errNotReady) {
		t.Errorf("error %v, want errNotReady", err)
	}
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"127.0.0.1:0", ":0"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		if _, taken := portTaken(port, []string{"127.0.0.1"}); !taken {
			t.Errorf("a listener on %q goes unnoticed", addr)
		}
		if got := suggestPort(port, []string{"127.0.0.1"}); got == port {
			t.Errorf("suggests the taken port %d", got)
		}
		_ = l.Close()
		if at, taken := portTaken(port, []string{"127.0.0.1"}); taken {
			t.Errorf("%s is said to be taken", at)
		}
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	t.Parallel()
	var shown bytes.Buffer
	log := &tail{copy: &shown}
	for range 3 {
		if n, err := log.Write(bytes.Repeat([]byte("x"), tailSize/2)); err != nil || n != tailSize/2 {
			t.Fatalf("write: %d, %v", n, err)
		}
	}
	if _, err := log.Write([]byte("the end")); err != nil {
		t.Fatal(err)
	}
	if got := log.String(); len(got) != tailSize || !strings.HasSuffix(got, "the end") {
		t.Errorf("kept %d bytes ending in %q", len(got), got[len(got)-7:])
	}
	if shown.Len() != 3*(tailSize/2)+7 {
		t.Errorf("%d bytes shown", shown.Len())
	}
}
