// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// Attack: somebody between the gateway and the backend reads. Users' tokens travel to
// backends of this machine or over TLS only, whatever a backend is called.
func TestForwardedTokensDoNotTravelInTheClear(t *testing.T) {
	for name, c := range map[string]struct {
		backends, block string
		clear           bool
	}{
		"socket":              {"unix//run/mcp.sock", "", false},
		"relative socket":     {"unix/mcp.sock", "", false},
		"socket, h2c":         {"unix+h2c//run/mcp.sock", "", false},
		"loopback":            {"localhost:3000 [::1]:3001 127.0.0.1:3002", "", false},
		"TLS":                 {"https://mcp.internal", "", false},
		"TLS by transport":    {"mcp.internal:3000", "transport http {\ntls\n}", false},
		"clear":               {"mcp.internal:3000", "", true},
		"one of two":          {"localhost:3000 mcp.internal:3000", "", true},
		"named unix-box":      {"unix-box.internal:3000", "", true},
		"named unix":          {"unix:3000", "", true},
		"named like loopback": {"localhost.internal:3000", "", true},
		"127.evil.example":    {"127.evil.example:3000", "", true},
		"every address":       {"0.0.0.0:3000", "", true},
		"h2c":                 {"h2c://mcp.internal:3000", "", true},
		"placeholder":         {"{env.BACKEND}", "", true},
		"as a subdirective":   {"", "to unix.internal:3000", true},
		"dynamic":             {"", "dynamic a mcp.internal 3000", true},
		"dynamic with TLS":    {"", "dynamic a mcp.internal 3000\ntransport http {\ntls\n}", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(
				"http://localhost:8080 {\n\tmcp_gateway "+c.backends+" {\nforward_upstream_token\n"+c.block+"\n}\n}\n"), nil)
			refused := err != nil && strings.Contains(err.Error(), "forward_upstream_token")
			if refused != c.clear || err != nil && !refused {
				t.Errorf("refused %v, want %v: %v", refused, c.clear, err)
			}
		})
	}
}
