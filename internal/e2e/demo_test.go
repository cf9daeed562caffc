// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testproc"
)

var demo = testproc.Program{Package: "github.com/caddy-mcp/caddy-mcp-oauth/cmd/demo"}

// runningDemo is cmd/demo as a user starts it.
type runningDemo struct {
	url, password string
	temp          string
	out           *testproc.Log
	cmd           *exec.Cmd
	exited        chan error
}

// startDemo builds the demo, runs it and reads what it says.
func startDemo(t *testing.T) *runningDemo {
	t.Helper()
	d := &runningDemo{temp: t.TempDir(), out: &testproc.Log{}, exited: make(chan error, 1)}
	d.cmd = exec.Command(demo.Path(t), "-port", fmt.Sprint(testproc.FreePort(t)), "-caddy", testproc.Caddy.Path(t), "-state", "")
	d.cmd.Env = append(os.Environ(), "TMPDIR="+d.temp)
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.out
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.exited <- d.cmd.Wait() }()
	t.Cleanup(func() { _ = d.cmd.Process.Signal(syscall.SIGTERM) }) // it may be over
	eventually(t, "the announcement of the demo", func() bool {
		select {
		case err := <-d.exited:
			t.Fatalf("the demo ended: %v\n%s", err, d.out.String())
		default:
		}
		return strings.Contains(d.out.String(), "Ctrl-C")
	})
	d.url = d.said(t, `MCP URL +(\S+)`)
	d.password = d.said(t, `Password +(\S+)`)
	return d
}

func (d *runningDemo) said(t *testing.T, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(d.out.String())
	if found == nil {
		t.Fatalf("the demo does not say %s:\n%s", pattern, d.out.String())
	}
	return found[1]
}

// The first thing anybody tries: the demo, with what it prints and nothing else,
// a mistyped password included. Then Ctrl-C, and nothing is left.
func TestDemoFromStartToCtrlC(t *testing.T) {
	d := startDemo(t)
	demo := newPerson()
	var titles []string
	demo.onConsent = func(p *page) { titles = append(titles, p.body) }
	demo.afterConsent = func(p *page) (*page, error) {
		wrong, err := demo.browser.submit(t.Context(), p, "Sign in", url.Values{"username": {"demo"}, "password": {"wrong"}})
		if err != nil {
			return nil, err
		}
		if wrong.status != http.StatusForbidden {
			t.Errorf("a wrong password: status %d, want 403", wrong.status)
		}
		return demo.browser.submit(t.Context(), wrong, "Sign in", url.Values{"username": {"demo"}, "password": {d.password}})
	}
	c := newClient(t, demo)
	session := c.mustConnect(t, d.url, nil)
	want := testmcp.WhoAmI{
		User: "local:demo", PreferredUsername: "demo", Email: "demo@example.com", Groups: "family",
		Scope: "mcp offline_access",
	}
	if diff := cmp.Diff(want, whoAmI(t, session), ignoreClientID); diff != "" {
		t.Errorf("whoami (-want +got):\n%s", diff)
	}
	if len(titles) == 0 || !strings.Contains(titles[0], "Demo tools") {
		t.Error("the consent page does not name the demo")
	}
	if err := session.Close(); err != nil {
		t.Errorf("close: %v", err)
	}

	if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := <-d.exited; err != nil {
		t.Errorf("Ctrl-C: %v\n%s", err, d.out.String())
	}
	left, err := filepath.Glob(filepath.Join(d.temp, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if resp, err := http.Get(d.url); err == nil {
		_ = resp.Body.Close()
		t.Error("the gateway is still running")
	}
}
