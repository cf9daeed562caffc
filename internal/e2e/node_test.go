// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testreq"
)

// nodeFiles are the scripts and the pinned packages they use.
//
//go:embed node/*.mjs node/package.json node/package-lock.json
var nodeFiles embed.FS

// npmTimeout bounds the one installation of a machine.
const npmTimeout = 5 * time.Minute

// nodeDir installs the pinned packages and returns a directory with them and
// the scripts. The installation is kept in the user's cache, by the hash of the
// lock file: it happens once per machine and lock.
var nodeDir = sync.OnceValues(func() (string, error) {
	lock, err := nodeFiles.ReadFile("node/package-lock.json")
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(lock)
	installed := filepath.Join(cache, "caddy-mcp-oauth", "e2e-node-"+hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(filepath.Join(installed, "node_modules")); err != nil {
		if err := npmInstall(installed); err != nil {
			return "", err
		}
	}
	// The scripts are the source tree's, the packages the cache's.
	dir := filepath.Join(buildDir, "node")
	if err := writeNodeFiles(dir); err != nil {
		return "", err
	}
	return dir, os.Symlink(filepath.Join(installed, "node_modules"), filepath.Join(dir, "node_modules"))
})

// npmInstall fills a directory beside target and renames it, so that a broken
// installation is never taken for a complete one.
func npmInstall(target string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(target), "installing-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	if err := writeNodeFiles(temp); err != nil {
		return err
	}
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = temp
	cmd.WaitDelay = time.Second
	timer := time.AfterFunc(npmTimeout, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	if err := os.Rename(temp, target); err != nil && !errors.Is(err, fs.ErrExist) {
		// Another test run may have been faster.
		if _, statErr := os.Stat(filepath.Join(target, "node_modules")); statErr != nil {
			return err
		}
	}
	return nil
}

func writeNodeFiles(dir string) error {
	files, err := fs.Sub(nodeFiles, "node")
	if err != nil {
		return err
	}
	return os.CopyFS(dir, files)
}

// nodeClient is a script that plays the story of node/story.mjs.
type nodeClient struct {
	t      *testing.T
	stdin  io.WriteCloser
	events chan nodeEvent
	stderr bytes.Buffer
	exited chan error
}

// nodeEvent is one line of the script, see node/story.mjs.
type nodeEvent struct {
	Event          string
	URL            string
	Names          []string
	Step           string
	Identity       testmcp.WhoAmI
	Authorizations int
	TokenSets      int
	AccessTokens   int
	RefreshTokens  int
}

// startNode runs a script until the test ends.
func startNode(t *testing.T, script string, args ...string) *nodeClient {
	t.Helper()
	_, nodeErr := exec.LookPath("node")
	_, npmErr := exec.LookPath("npm")
	testreq.Need(t, "Node.js and npm", nodeErr == nil && npmErr == nil, "install Node.js 20 or newer")
	dir, err := nodeDir()
	testreq.Need(t, "the npm packages of internal/e2e/node", err == nil, fmt.Sprint(err))
	cmd := exec.CommandContext(t.Context(), "node", append([]string{filepath.Join(dir, script)}, args...)...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	n := &nodeClient{t: t, stdin: stdin, events: make(chan nodeEvent, 16), exited: make(chan error, 1)}
	cmd.Stderr = &n.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go n.read(stdout, cmd)
	return n
}

// read turns lines into events, and reaps the process after the last.
func (n *nodeClient) read(stdout io.Reader, cmd *exec.Cmd) {
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		var e nodeEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			e.Event = "not JSON: " + lines.Text()
		}
		n.events <- e
	}
	n.exited <- cmd.Wait()
	close(n.events)
}

// expect waits for the next event, which must be of this kind.
func (n *nodeClient) expect(kind string) nodeEvent {
	n.t.Helper()
	select {
	case e, ok := <-n.events:
		if !ok {
			n.t.Fatalf("the script ended before %q: %v\n%s", kind, <-n.exited, n.stderr.String())
		}
		if e.Event != kind {
			n.t.Fatalf("event %q, want %q", e.Event, kind)
		}
		return e
	case <-time.After(patience):
		n.t.Fatalf("no event %q within %v", kind, patience)
	}
	return nodeEvent{}
}

// command tells the script to go on.
func (n *nodeClient) command(name string) {
	n.t.Helper()
	if _, err := fmt.Fprintf(n.stdin, "{\"command\":%q}\n", name); err != nil {
		n.t.Fatalf("command %s: %v", name, err)
	}
}

// end closes the script and checks that it was content.
func (n *nodeClient) end() nodeEvent {
	n.t.Helper()
	n.command("end")
	_ = n.stdin.Close() // an open pipe keeps the script alive
	done := n.expect("done")
	select {
	case err := <-n.exited:
		if err != nil {
			n.t.Errorf("the script failed: %v\n%s", err, n.stderr.String())
		}
	case <-time.After(patience):
		n.t.Error("the script does not end")
	}
	return done
}
