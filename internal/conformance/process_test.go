// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds everything that is waited for. It is long because the machine
// may be busy, and never slept through.
const patience = time.Minute

// process is a server that runs until the test ends.
type process struct {
	cmd    *exec.Cmd
	log    *logBuffer
	exited chan struct{}
}

// startProcess runs a server and waits until url answers with status.
func startProcess(t *testing.T, cmd *exec.Cmd, url string, status int) *process {
	t.Helper()
	p := &process{cmd: cmd, log: &logBuffer{}, exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // how it ended shows in the log
		close(p.exited)
	}()
	t.Cleanup(func() { p.finish(t) })
	p.awaitReady(t, url, status)
	return p
}

func (p *process) awaitReady(t *testing.T, url string, status int) {
	t.Helper()
	deadline := time.After(patience)
	for {
		resp, err := http.Get(url) //nolint:gosec,noctx // a loopback address the test made; bounded below
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode != status {
				t.Fatalf("GET %s: %s, want %d", url, resp.Status, status)
			}
			return
		}
		select {
		case <-p.exited:
			t.Fatalf("%s ended:\n%s", p.cmd.Path, p.log)
		case <-deadline:
			t.Fatalf("%s is not ready: %v\n%s", p.cmd.Path, err, p.log)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// finish stops the server and looks at what it wrote: nothing may be a panic or a
// data race.
func (p *process) finish(t *testing.T) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-p.exited:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		t.Errorf("%s did not end", p.cmd.Path)
	}
	for _, bad := range []string{"panic", "DATA RACE", "fatal error"} {
		if strings.Contains(p.log.String(), bad) {
			t.Errorf("the log of %s contains %q:\n%s", p.cmd.Path, bad, p.log)
		}
	}
	if t.Failed() {
		lines := strings.Split(strings.TrimSpace(p.log.String()), "\n")
		t.Logf("the end of the log of %s:\n%s", p.cmd.Path, strings.Join(lines[max(0, len(lines)-30):], "\n"))
	}
}

// freePort finds a port nobody uses. Another program could take it before its
// user does; on a test machine that is unlikely enough, and shows as a clear
// failure.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// logBuffer collects what a process writes.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
