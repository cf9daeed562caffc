// SPDX-License-Identifier: Apache-2.0

// Package testproc builds and runs what tests look at from outside: Caddy with our
// module, and other servers, as processes of their own.
package testproc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Patience bounds everything that is waited for. It is long because the machine may be
// busy, and never slept through.
const Patience = time.Minute

// Env names a Caddy to test instead of building one, for instance what xcaddy made.
const Env = "MCP_OAUTH_TEST_CADDY"

// Caddy is cmd/caddy, which has what a plain build has.
var Caddy = Program{Package: "github.com/caddy-mcp/caddy-mcp-oauth/cmd/caddy", Env: Env, Race: true}

// buildDir holds what a test run builds, while Main runs.
var buildDir string

// Main runs the tests of a package that builds programs and removes those at the end.
//
//	func TestMain(m *testing.M) { os.Exit(testproc.Main(m)) }
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "mcp-oauth-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "testproc:", err)
		return 1
	}
	buildDir = dir
	defer func() { _ = os.RemoveAll(dir) }() // a leftover in the temporary directory is no failure
	return m.Run()
}

// Program is a Go program of this module or of its dependencies.
type Program struct {
	// Package is its import path.
	Package string
	// Env names an environment variable with a binary to use instead of building one,
	// if there is one.
	Env string
	// Race says to build it with the race detector if the tests have that.
	Race bool

	once sync.Once
	path string
	err  error
}

// Path is the binary, which is built once per test run.
func (p *Program) Path(t testing.TB) string {
	t.Helper()
	p.once.Do(func() { p.path, p.err = p.build() })
	if p.err != nil {
		t.Fatal(p.err)
	}
	return p.path
}

func (p *Program) build() (string, error) {
	if p.Env != "" && os.Getenv(p.Env) != "" {
		return filepath.Abs(os.Getenv(p.Env))
	}
	if buildDir == "" {
		return "", errors.New("TestMain does not call testproc.Main")
	}
	path := filepath.Join(buildDir, filepath.Base(p.Package))
	args := []string{"build", "-o", path}
	if p.Race && RaceEnabled {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, p.Package)...) //nolint:gosec,noctx // of the test, as is what it builds
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", p.Package, err, out)
	}
	return path, nil
}

// Command runs a Caddy with the Caddyfile in dir, where it keeps its data as well. The
// end of ctx kills it. A test's own context ends before what runs is stopped, so it is
// not for a Process.
func Command(ctx context.Context, caddy, dir string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, caddy, "run", "--adapter", "caddyfile", "--config", Caddyfile(dir)) //nolint:gosec // what was built
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	return cmd
}

// Caddyfile is the path of the Caddyfile in dir.
func Caddyfile(dir string) string { return filepath.Join(dir, "Caddyfile") }
