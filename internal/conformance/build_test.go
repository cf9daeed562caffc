// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// repoRoot is the module's directory, seen from this package's.
const repoRoot = "../.."

// envBinary names a Caddy to test instead of building one, as in package e2e.
const envBinary = "MCP_OAUTH_TEST_CADDY"

// everythingServer is the MCP server the Go SDK runs the suite against. It is
// built at the version of go.mod.
const everythingServer = "github.com/modelcontextprotocol/go-sdk/conformance/everything-server"

// buildDir holds what the test run builds; TestMain removes it.
var buildDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "mcp-oauth-conformance-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
	buildDir = dir
	code := m.Run()
	_ = os.RemoveAll(dir) // a leftover in the temporary directory is no failure
	os.Exit(code)
}

// caddyBinary builds cmd/caddy once, with the race detector if the tests have it.
var caddyBinary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(envBinary); path != "" {
		return filepath.Abs(path)
	}
	if raceEnabled {
		return goBuild("caddy", "-race", "./cmd/caddy")
	}
	return goBuild("caddy", "./cmd/caddy")
})

// serverBinary builds the MCP server once.
var serverBinary = sync.OnceValues(func() (string, error) {
	return goBuild("everything-server", everythingServer)
})

func goBuild(name string, args ...string) (string, error) {
	path := filepath.Join(buildDir, name)
	cmd := exec.Command("go", append([]string{"build", "-o", path}, args...)...)
	cmd.Dir = repoRoot
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return path, nil
}
