// SPDX-License-Identifier: Apache-2.0

package testproc

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Process is a server that may be started and ended several times. Log is what all of
// its lives wrote.
type Process struct {
	// Name is what failures call it.
	Name string
	Log  *Log

	cmd    *exec.Cmd
	exited <-chan struct{}
}

// Spawn starts a command; the end of the process closes the channel.
type Spawn func(cmd *exec.Cmd) (exited <-chan struct{}, err error)

// Here spawns on this machine, as it is.
func Here(cmd *exec.Cmd) (<-chan struct{}, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended shows in the log
		close(exited)
	}()
	return exited, nil
}

// Start runs the command and does not wait for it to be ready.
func (p *Process) Start(t testing.TB, cmd *exec.Cmd, spawn Spawn) {
	t.Helper()
	cmd.Stdout, cmd.Stderr = p.Log, p.Log
	exited, err := spawn(cmd)
	if err != nil {
		t.Fatalf("start %s: %v", p.Name, err)
	}
	p.cmd, p.exited = cmd, exited
}

// Await waits until the process answers a request without a body, and wants this status.
func (p *Process) Await(t testing.TB, transport http.RoundTripper, r *http.Request, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), Patience)
	defer cancel()
	for r = r.WithContext(ctx); ; {
		resp, err := transport.RoundTrip(r)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode != status {
				t.Fatalf("%s answers %s with %s, want %d", p.Name, r.URL, resp.Status, status)
			}
			return
		}
		select {
		case <-p.exited:
			t.Fatalf("%s did not start:\n%s", p.Name, LastLines(p.Log.String(), 40))
		case <-ctx.Done():
			t.Fatalf("%s is not ready: %v\n%s", p.Name, err, LastLines(p.Log.String(), 40))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Stop ends the process in an orderly way.
func (p *Process) Stop(t testing.TB) { t.Helper(); p.end(t, syscall.SIGTERM) }

// Kill ends it as a power cut would.
func (p *Process) Kill(t testing.TB) { t.Helper(); p.end(t, syscall.SIGKILL) }

func (p *Process) end(t testing.TB, sig os.Signal) {
	t.Helper()
	_ = p.cmd.Process.Signal(sig) // it may have ended by itself, which the next lines find
	select {
	case <-p.exited:
	case <-time.After(Patience):
		_ = p.cmd.Process.Kill()
		t.Errorf("%s did not end on %v", p.Name, sig)
	}
}

// Finish stops the process if it runs, and looks at what it wrote on the way: nothing
// it says may be a panic or a data race.
func (p *Process) Finish(t testing.TB) {
	t.Helper()
	if p.cmd == nil {
		return
	}
	select {
	case <-p.exited:
	default:
		p.Stop(t)
	}
	text := p.Log.String()
	for _, bad := range []string{"panic", "DATA RACE", "fatal error"} {
		if at := strings.Index(text, bad); at >= 0 {
			t.Errorf("the log of %s contains %q:\n%s", p.Name, bad, FirstLines(text[at:], 80))
		}
	}
	if t.Failed() {
		t.Logf("the end of the log of %s:\n%s", p.Name, LastLines(text, 40))
	}
}
