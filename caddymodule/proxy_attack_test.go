// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"net/http"
	"strings"
	"testing"
)

// The story: the operator names the header that his backend must not get in the
// environment.
func TestOperationsOnHeadersWhoseNamesAreNotWrittenOut(t *testing.T) {
	t.Setenv("UNWANTED", "X-Mcp-Jwt-Assertion")
	t.Setenv("WANTED", "X-Forwarded-User")
	for block, want := range map[string]map[string]string{
		"header_up -{env.UNWANTED}":          {"X-Mcp-Jwt-Assertion": "", "X-Forwarded-User": "local:alice"},
		"header_up {env.WANTED} somebody":    {"X-Forwarded-User": "somebody"},
		"header_up +{env.WANTED} somebody":   {"X-Forwarded-User": "local:alice, somebody"},
		"header_up {env.WANTED} alice bob":   {"X-Forwarded-User": "local:bob"},
		"header_up {env.WANTED} ^local: our": {"X-Forwarded-User": "ouralice"},
	} {
		t.Run(block, func(t *testing.T) {
			s, b := newSite(t), newBackend(t, nil)
			s.load(s.config("", "mcp_gateway /mcp "+b.addr()+" {\n"+block+"\n}"))
			s.wantStatus(http.StatusOK, http.MethodPost, "/mcp", s.signIn(s.url+"/mcp"))
			for name, value := range want {
				if got := strings.Join(b.last.Load().Header.Values(name), ", "); got != value {
					t.Errorf("%s is %q, want %q", name, got, value)
				}
			}
		})
	}
}

// Any handler may be inside of the guard. Its options are its own: not what those of
// reverse_proxy are, although they have the same names.
func TestTheProxyNeedNotBeOne(t *testing.T) {
	s := newSite(t)
	config := string(s.config("", "mcp_gateway /mcp localhost:1"))
	start := strings.Index(config, `"proxy":{`)
	end := start + strings.Index(config[start:], "]}") + len("]}")
	s.load([]byte(config[:start] +
		`"proxy":{"handler":"static_response","headers":{"Request":["{http.request.header.X-Forwarded-User}"]}}` + config[end:]))
	s.wantStatus(http.StatusUnauthorized, http.MethodPost, "/mcp", "")
	resp := s.wantStatus(http.StatusOK, http.MethodPost, "/mcp", s.signIn(s.url+"/mcp"))
	if got := resp.header.Get("Request"); got != "local:alice" {
		t.Errorf("the handler was told %q", got)
	}
}

// The story: the MCP server is down, or says that it cannot. The operator shows a page
// of somebody else instead, as the manual of Caddy suggests: they learn neither who
// called nor the token. A spare backend is told, if the operator says that it is one.
func TestWhoTakesOverIsToldIfTheOperatorSaysSo(t *testing.T) {
	overloaded := newBackend(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	dead := newBackend(t, nil)
	dead.Close()
	for name, site := range map[string]string{
		"handle_response": "mcp_gateway /mcp " + overloaded.addr() + " {\n@busy status 503\nhandle_response @busy {\nreverse_proxy SPARE\n}\n}",
		"handle_errors":   "mcp_gateway /mcp " + dead.addr() + "\nhandle_errors {\nreverse_proxy SPARE\n}",
	} {
		for block, told := range map[string]string{"": "", "{\ntransport mcp_oauth\n}": "local:alice"} {
			t.Run(name+block, func(t *testing.T) {
				s, spare := newSite(t), newBackend(t, nil)
				s.load(s.config("", strings.ReplaceAll(site, "SPARE", spare.addr()+" "+block)))
				s.request(http.MethodPost, "/mcp", s.signIn(s.url+"/mcp"))
				r := spare.last.Load()
				if r == nil {
					t.Fatal("nobody took over; the test proves nothing")
				}
				if got := r.Header.Get("X-Forwarded-User"); got != told {
					t.Errorf("who takes over is told %q, want %q", got, told)
				}
				if got := r.Header.Get("X-Mcp-Jwt-Assertion"); (got != "") != (told != "") {
					t.Errorf("who takes over has the assertion %q", got)
				}
				if got := r.Header.Get("Authorization"); got != "" {
					t.Errorf("who takes over has the token %q", got)
				}
			})
		}
	}
}
