// SPDX-License-Identifier: Apache-2.0

package e2e

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

// envBinary names a Caddy to test instead of building one, for instance what
// xcaddy made.
const envBinary = "MCP_OAUTH_TEST_CADDY"

// buildDir holds what the test run builds; TestMain removes it.
var buildDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "mcp-oauth-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	buildDir = dir
	code := m.Run()
	_ = os.RemoveAll(dir) // a leftover in the temporary directory is no failure
	os.Exit(code)
}

// caddyBinary builds cmd/caddy once per test run, with the race detector if the
// tests have it.
var caddyBinary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(envBinary); path != "" {
		return filepath.Abs(path)
	}
	path := filepath.Join(buildDir, "caddy")
	args := []string{"build", "-o", path}
	if raceEnabled {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/caddy")...)
	cmd.Dir = repoRoot
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build cmd/caddy: %w\n%s", err, out)
	}
	return path, nil
})
