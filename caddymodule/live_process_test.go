// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// runCaddy makes the test binary a Caddy: signals need a process of their own.
const runCaddy = "MCP_OAUTH_TEST_RUN_CADDY"

func TestMain(m *testing.M) {
	if config := os.Getenv(runCaddy); config != "" {
		os.Args = []string{"caddy", "run", "--config", config}
		caddycmd.Main()
		return
	}
	os.Exit(m.Run())
}

// process is a Caddy of its own.
type process struct {
	*exec.Cmd
	exited chan error
	output bytes.Buffer
}

func (s *gateSite) start(config []byte) *process {
	s.t.Helper()
	if runtime.GOOS == "windows" {
		s.t.Skip("there are no signals")
	}
	file := filepath.Join(s.dir, "config.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		s.t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(self), exited: make(chan error, 1)}
	p.Env = append(os.Environ(), runCaddy+"="+file, "XDG_CONFIG_HOME="+s.dir, "HOME="+s.dir)
	p.Stdout, p.Stderr = &p.output, &p.output
	if err := p.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() { p.exited <- p.Wait() }()
	s.t.Cleanup(func() { _ = p.Process.Kill() })
	s.await(p)
	return p
}

// await waits until the gateway answers.
func (s *gateSite) await(p *process) {
	s.t.Helper()
	for range 200 {
		resp, err := http.Get(s.url + "/mcp") //nolint:noctx // bounded by the loop
		if err == nil {
			resp.Body.Close()
			return
		}
		select {
		case err := <-p.exited:
			s.t.Fatalf("caddy exited: %v\n%s", err, p.output.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
	s.t.Fatal("caddy does not answer")
}

func (p *process) wait(t *testing.T, limit time.Duration) {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(limit):
		t.Fatalf("caddy did not exit within %s", limit)
	}
}

// Without a grace period Caddy waits for open requests for ever, and an event
// stream never ends by itself: a restart would hang until somebody kills it.
func TestExitEndsStreams(t *testing.T) {
	e := newEvents()
	s, b := newSite(t), newBackend(t, e.serve)
	p := s.start(s.config("", "mcp_gateway /mcp "+b.addr()))
	lines := s.openStream("/mcp", s.signIn(s.url+"/mcp"))
	wantLine(t, e, lines, "data: open")
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wantEnd(t, lines)
	p.wait(t, 30*time.Second)
}

// Power fails. Nobody has to sign in again.
func TestKillLosesNothing(t *testing.T) {
	s, b := newSite(t), newBackend(t, nil)
	config := s.config("", "mcp_gateway /mcp "+b.addr())
	p := s.start(config)
	token := s.signIn(s.url + "/mcp")
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.wait(t, 30*time.Second)
	s.start(config)
	s.wantStatus(http.StatusOK, http.MethodPost, "/mcp", token)
}
