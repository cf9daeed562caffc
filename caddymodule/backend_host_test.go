// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// MCP servers on loopback refuse every Host but their own by default. The proxy
// must therefore not send them the public name, and must leave all others alone.
func TestBackendsOnLoopbackAreAddressedByTheirOwnName(t *testing.T) {
	for name, c := range map[string]struct {
		backends, block string
		want            bool
	}{
		"localhost":             {"localhost:3000", "", true},
		"IPv4":                  {"127.0.0.1:3000", "", true},
		"IPv6":                  {"[::1]:3000", "", true},
		"scheme and path":       {"http://localhost:3000/mcp", "", true},
		"two on loopback":       {"localhost:3000 127.0.0.2:3001", "", true},
		"as a subdirective":     {"", "to localhost:3000", true},
		"other host":            {"mcp:3000", "", false},
		"one of two is other":   {"localhost:3000 mcp:3000", "", false},
		"looks like it":         {"localhost.example.com:3000", "", false},
		"socket":                {"unix//run/mcp.sock", "", false},
		"operator sets Host":    {"localhost:3000", "header_up Host example.com", false},
		"operator removes Host": {"localhost:3000", "header_up -Host", false},
		"operator edits Host":   {"localhost:3000", "header_up Host a b", false},
		"another header is set": {"localhost:3000", "header_up X-Other value", true},
		"options of transport":  {"localhost:3000", "transport http {\ndial_timeout 1s\n}", true},
		"no identity headers":   {"localhost:3000", "identity_headers off", true},
		"identity is named":     {"localhost:3000", "header_up -X-Mcp-Scope", true},
	} {
		t.Run(name, func(t *testing.T) {
			adapter := caddyconfig.GetAdapter("caddyfile")
			cfg, _, err := adapter.Adapt([]byte("http://localhost:8080 {\n\tmcp_gateway "+c.backends+" {\n"+c.block+"\n}\n}\n"), nil)
			if err != nil {
				t.Fatal(err)
			}
			var indented strings.Builder
			if err := json.NewEncoder(&indented).Encode(json.RawMessage(cfg)); err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(indented.String(), `"upstream_host":true`); got != c.want {
				t.Errorf("Host set to the backend's address: %v, want %v\n%s", got, c.want, indented.String())
			}
		})
	}
}
