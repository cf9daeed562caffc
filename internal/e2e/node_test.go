// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testnode"
)

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
	dir := testnode.Dir(t, os.DirFS("node"), "e2e-node")
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
