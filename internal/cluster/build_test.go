// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// envBinary names a Caddy with both engines to test instead of building one, for
// instance what xcaddy made.
const envBinary = "MCP_OAUTH_TEST_CADDY_CLUSTER"

// buildDir holds what the test run builds; TestMain removes it.
var buildDir string

// inParallel is how many clusters there are at a time, unless -parallel says so. Most
// of what they do is waiting for time limits, which takes no processor.
const inParallel = "6"

func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		_ = flag.Set("test.parallel", inParallel) // it is a number
	}
	dir, err := os.MkdirTemp("", "mcp-oauth-cluster-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
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
	if out, err := exec.Command("go", append(args, "./cmd/caddy")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build cmd/caddy: %w\n%s", err, out)
	}
	return path, nil
})

func mustBuild(t *testing.T) string {
	t.Helper()
	path, err := caddyBinary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
