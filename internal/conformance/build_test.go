// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"os"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testnode"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testproc"
)

// everythingServer is the MCP server the Go SDK runs the suite against. It is built at
// the version of go.mod.
var everythingServer = testproc.Program{Package: "github.com/modelcontextprotocol/go-sdk/conformance/everything-server"}

func TestMain(m *testing.M) { os.Exit(testproc.Main(m)) }

// needSuite returns a directory with the pinned suite installed and what lets it run,
// or skips or fails the test.
func needSuite(t *testing.T) string {
	t.Helper()
	return testnode.Dir(t, os.DirFS("node"), "conformance")
}
