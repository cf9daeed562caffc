// SPDX-License-Identifier: Apache-2.0

package testredis

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is one run of the program.
type process struct {
	cmd *exec.Cmd
	// ended is closed when it is over, and err then says how.
	ended chan struct{}
	err   error
}

// startProcess starts the program with its output in a file. Where the system can, it is
// killed when the test process ends in whatever way. The system asks after the thread
// that started it, so that one is kept until the program ends.
func startProcess(binary string, args []string, output string) (*process, error) {
	log, err := os.OpenFile(output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // of the test
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(binary, args...), ended: make(chan struct{})} //nolint:gosec,noctx // of the test, and ended by it
	p.cmd.Stdout, p.cmd.Stderr = log, log
	endWithParent(p.cmd)
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.ended)
		defer func() { _ = log.Close() }()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// signal sends a signal and waits for the end.
func (p *process) signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(patience):
		return errors.New("testredis: the server does not end")
	}
}

// Stop ends the server in good order, which saves its data if it is configured to.
func (s *Server) Stop() { s.t.Helper(); s.stop(syscall.SIGTERM) }

// Kill ends it as kill -9 does.
func (s *Server) Kill() { s.t.Helper(); s.stop(syscall.SIGKILL) }

func (s *Server) stop(sig os.Signal) {
	s.t.Helper()
	if err := s.halt(sig); err != nil {
		s.t.Error(err)
	}
}

func (s *Server) halt(sig os.Signal) error {
	s.mu.Lock()
	p, client := s.process, s.client
	s.process = nil
	s.mu.Unlock()
	if p == nil {
		return nil
	}
	return errors.Join(p.signal(sig), client.Close())
}

// end kills the server and removes its files.
func (s *Server) end() error {
	return errors.Join(s.halt(syscall.SIGKILL), os.RemoveAll(s.dir))
}

// Restart starts a server that was stopped or killed, on the same address and data.
func (s *Server) Restart() {
	s.t.Helper()
	if err := s.run(); err != nil {
		s.t.Fatalf("testredis: restart: %v\n%s", err, s.Log())
	}
}

// Freeze stops the server from answering without closing a connection, as a network that
// drops packets does. Thaw lets it go on.
func (s *Server) Freeze() { s.t.Helper(); s.tell(freezeSignal) }

// Thaw ends Freeze.
func (s *Server) Thaw() { s.t.Helper(); s.tell(thawSignal) }

func (s *Server) tell(sig os.Signal) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if sig == nil {
		s.t.Skip("this system cannot freeze a process")
	}
	if err := s.process.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("testredis: %v", err)
	}
}
