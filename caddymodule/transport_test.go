// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// Whoever sets the headers, the backend is told the same.
func TestBackendIsToldWhoCalls(t *testing.T) {
	for name, block := range map[string]string{
		"by the transport":           "",
		"by the transport, its own":  "transport http {\ndial_timeout 1s\n}",
		"by the handler":             "header_up X-Who {http.request.header.X-Forwarded-User}",
		"a policy needs the header":  "lb_policy header X-Forwarded-User",
		"an unrelated header is set": "header_up X-Api-Key key",
	} {
		t.Run(name, func(t *testing.T) {
			s, b := newSite(t), newBackend(t, nil)
			s.load(s.config("", "mcp_gateway /mcp "+b.addr()+" {\n"+block+"\n}"))
			s.wantStatus(http.StatusOK, http.MethodPost, "/mcp", s.signIn(s.url+"/mcp"))
			r := b.last.Load()
			if r.Host != b.addr() {
				t.Errorf("Host %s, want %s", r.Host, b.addr())
			}
			for name, want := range map[string]string{
				"X-Forwarded-User": "local:alice", "X-Forwarded-Preferred-Username": "alice", "X-Mcp-Scope": "mcp",
				"X-Forwarded-Host": strings.TrimPrefix(s.url, "http://"),
			} {
				if got := r.Header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if r.Header.Get("X-Mcp-Client-Id") == "" || strings.Count(r.Header.Get("X-Mcp-Jwt-Assertion"), ".") != 2 {
				t.Errorf("client or assertion missing: %v", r.Header)
			}
		})
	}
}

// What the operator's options of the proxy say about identity headers counts.
func TestOperatorHasTheLastWord(t *testing.T) {
	for block, want := range map[string]map[string]string{
		"header_up -X-Mcp-Jwt-Assertion":                            {"X-Mcp-Jwt-Assertion": "", "X-Forwarded-User": "local:alice"},
		"header_up -X-Forwarded-*":                                  {"X-Forwarded-User": "", "X-Mcp-Scope": "mcp"},
		"header_up x-forwarded-user somebody":                       {"X-Forwarded-User": "somebody"},
		"header_up X-Forwarded-User local: ours:":                   {"X-Forwarded-User": "ours:alice"},
		"header_up * alice bob":                                     {"X-Forwarded-User": "local:bob"},
		"header_up X-Who {http.request.header.X-Forwarded-User}":    {"X-Who": "local:alice"},
		"header_up X-Who {header.x-forwarded-preferred-username}":   {"X-Who": "alice"},
		"identity_headers off":                                      {"X-Forwarded-User": "", "X-Mcp-Jwt-Assertion": ""},
		"identity_headers off\nheader_up X-Who {http.auth.user.id}": {"X-Forwarded-User": "", "X-Who": "local:alice"},
	} {
		t.Run(block, func(t *testing.T) {
			s, b := newSite(t), newBackend(t, nil)
			s.load(s.config("", "mcp_gateway /mcp "+b.addr()+" {\n"+block+"\n}"))
			s.wantStatus(http.StatusOK, http.MethodPost, "/mcp", s.signIn(s.url+"/mcp"))
			for name, value := range want {
				if got := b.last.Load().Header.Get(name); got != value {
					t.Errorf("%s is %q, want %q", name, got, value)
				}
			}
		})
	}
}

// Only the standard transport is replaced by one that sets headers.
func TestOtherTransportsAreLeftAlone(t *testing.T) {
	cfg, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(
		[]byte("http://localhost:8080 {\n\tmcp_gateway localhost:9000 {\n\t\ttransport fastcgi\n\t}\n}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"protocol":"fastcgi"`, `"Host":["{http.reverse_proxy.upstream.hostport}"]`} {
		if !strings.Contains(string(cfg), want) {
			t.Errorf("%s is missing in %s", want, cfg)
		}
	}
	if strings.Contains(string(cfg), "defer_identity") {
		t.Errorf("nobody sets the identity headers: %s", cfg)
	}
}

// A backend that cannot be reached is followed by one that can: it is told as much.
func TestRetriesCarryIdentity(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	s, b := newSite(t), newBackend(t, nil)
	s.load(s.config("", "mcp_gateway /mcp "+dead.Addr().String()+" "+b.addr()+" {\nlb_policy first\nlb_retries 3\nfail_duration 1m\n}"))
	s.wantStatus(http.StatusOK, http.MethodPost, "/mcp", s.signIn(s.url+"/mcp"))
	r := b.last.Load()
	if got := r.Header.Values("X-Forwarded-User"); len(got) != 1 || got[0] != "local:alice" || r.Host != b.addr() {
		t.Errorf("after a retry the backend at %s is told %q and addressed as %s", b.addr(), got, r.Host)
	}
}
