// SPDX-License-Identifier: Apache-2.0

package recipes

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testnode"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testreq"
)

const examples = "../../examples/verify-assertion"

// patience bounds the start of a program on a busy machine.
const patience = time.Minute

// program is a recipe that can be run.
type program struct {
	dir  string
	args []string
	// impatient is how it is run so that it looks for an unknown key at once, nil if that
	// is tested elsewhere.
	impatient []string
}

// recipes are built by functions that skip the test where something is missing.
var recipes = map[string]func(t *testing.T) program{"Go": buildGo, "Python": buildPython, "TypeScript": buildTypeScript}

func buildGo(t *testing.T) program {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "server")
	run(t, examples, "go", "build", "-o", binary, "./go")
	return program{args: []string{binary}}
}

func buildPython(t *testing.T) program {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.CommandContext(t.Context(), python, "-c", "import jwt, cryptography").Run() != nil {
			continue
		}
		// -B: nothing is written into the source tree.
		return program{
			dir: filepath.Join(examples, "python"), args: []string{python, "-B", "server.py"},
			impatient: []string{python, "-B", "-c", "import runpy, verify_assertion; verify_assertion._Keys.COOLDOWN = 0; " +
				"runpy.run_path('server.py', run_name='__main__')"},
		}
	}
	testreq.Need(t, "PyJWT", false, "install python3, python3-jwt and python3-cryptography")
	return program{}
}

func buildTypeScript(t *testing.T) program {
	t.Helper()
	dir := testnode.Dir(t, os.DirFS(filepath.Join(examples, "typescript")), "verify-assertion")
	const cooldown = "cooldownDuration: 10_000"
	run(t, dir, "node", "node_modules/typescript/bin/tsc")
	run(t, dir, "node", "node_modules/typescript/bin/tsc", "--outDir", "impatient")
	built := filepath.Join(dir, "impatient", "verifyAssertion.js")
	code, err := os.ReadFile(built)
	if err != nil || !bytes.Contains(code, []byte(cooldown)) {
		t.Fatalf("%v, or no %q in\n%s", err, cooldown, code)
	}
	if err := os.WriteFile(built, bytes.Replace(code, []byte(cooldown), []byte("cooldownDuration: 0"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	return program{dir: dir, args: []string{"node", "dist/server.js"}, impatient: []string{"node", "impatient/server.js"}}
}

func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// start runs the recipe until the test ends and returns its address.
func (p program) start(t *testing.T, jwksURL string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), p.args[0], p.args[1:]...)
	cmd.Dir, cmd.WaitDelay = p.dir, time.Second
	cmd.Env = append(os.Environ(), "ISSUER="+issuer, "RESOURCE="+resource, "JWKS_URL="+jwksURL, "PORT=0")
	var stderr lockedBuffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		lines <- strings.TrimSpace(line)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%v said:\n%s", p.args, stderr.String())
		}
	})
	select {
	case line := <-lines:
		address, ok := strings.CutPrefix(line, "listening on ")
		if !ok {
			t.Fatalf("it says %q\n%s", line, stderr.String())
		}
		return address
	case <-time.After(patience):
		t.Fatalf("it does not start within %v\n%s", patience, stderr.String())
		return ""
	}
}

// lockedBuffer may be read while a process still writes to it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string { b.mu.Lock(); defer b.mu.Unlock(); return b.buf.String() }

// ask sends a request with these assertions and returns the answer.
func ask(t *testing.T, address string, assertions []string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/whoami", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	// What a backend must not go by.
	r.Header.Set("X-Forwarded-User", "github:1")
	r.Header["X-Mcp-Jwt-Assertion"] = assertions
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
