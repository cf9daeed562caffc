// SPDX-License-Identifier: Apache-2.0

package testpostgres

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Restart starts the server if it does not run, and waits until it answers.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := s.start()
		if err == nil {
			err = s.ready(deadline)
		}
		if err == nil {
			return
		}
		// After a kill its helpers may hold shared memory for a moment more.
		if time.Now().After(deadline) {
			t.Fatalf("testpostgres: %v\n%s", err, s.Log())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Stop ends the server as an operator does: sessions are cut, everything is
// written.
func (s *Server) Stop(t testing.TB) { s.signal(t, syscall.SIGINT) }

// Kill ends the server with SIGKILL, in the middle of what it does. Where the
// system tells which processes serve sessions, they go at the same time; elsewhere
// they may finish a statement before they notice that they are alone.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	sessions := s.sessions()
	s.signal(t, syscall.SIGKILL)
	for _, pid := range sessions {
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Signal(syscall.SIGKILL) // it may have noticed
		}
	}
}

// sessions are the children of the server's process, as Linux lists them.
func (s *Server) sessions() (pids []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil || closed(s.exited) {
		return nil
	}
	pid := s.process.Process.Pid
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	for field := range strings.FieldsSeq(string(list)) {
		if child, err := strconv.Atoi(field); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}

func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil && !closed(s.exited) {
		return nil
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), "-D", s.data(), "-k", s.dir)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = s.dir, log, log, s.owner
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	s.process, s.exited = cmd, exited
	return nil
}

// ready waits until the server lets somebody in.
func (s *Server) ready(deadline time.Time) error {
	s.mu.Lock()
	exited, pid := s.exited, s.process.Process.Pid
	s.mu.Unlock()
	for time.Now().Before(deadline) {
		switch {
		case closed(exited):
			return errors.New("postgres ended")
		case s.status() == strconv.Itoa(pid)+" ready":
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("postgres does not get ready")
}

// status is the process id and the state that the server notes for pg_ctl.
func (s *Server) status() string {
	b, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return ""
	}
	lines := strings.Split(string(b), "\n")
	if len(lines) < 8 {
		return ""
	}
	return strings.TrimSpace(lines[0]) + " " + strings.TrimSpace(lines[7])
}

func (s *Server) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	s.mu.Lock()
	process := s.process
	s.mu.Unlock()
	if process == nil {
		return
	}
	if err := process.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("testpostgres: %v", err)
	}
	if !s.wait(patience) {
		t.Fatalf("testpostgres: postgres did not end on %v\n%s", sig, s.Log())
	}
}

// wait waits for the end of the process and says whether it came.
func (s *Server) wait(limit time.Duration) bool {
	s.mu.Lock()
	exited := s.exited
	s.mu.Unlock()
	if exited == nil {
		return true
	}
	select {
	case <-exited:
		return true
	case <-time.After(limit):
		return false
	}
}

// Log is what the server wrote to its log, for the message of a failing test.
func (s *Server) Log() string {
	b, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	const enough = 8 << 10
	return string(b[max(0, len(b)-enough):])
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
