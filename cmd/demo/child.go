// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// stopGrace is how long Caddy may take to end by itself.
const stopGrace = 5 * time.Second

// tailSize is how much of Caddy's log is kept to explain a failure.
const tailSize = 8 << 10

// child is the running Caddy.
type child struct {
	exited chan struct{}
	err    error // why it exited; valid once exited is closed
	log    *tail
}

// startCaddy runs the binary until ctx ends. Its log is kept, and copied to w
// unless that is nil.
func startCaddy(ctx context.Context, binary string, dir workdir, w io.Writer) (*child, error) {
	cmd := exec.CommandContext(ctx, binary, "run", "--adapter", "caddyfile", "--config", dir.configPath())
	cmd.Env = dir.env()
	cmd.WaitDelay = stopGrace
	// SIGTERM, because the terminal already sent SIGINT to the whole group and
	// a second one makes Caddy drop everything.
	cmd.Cancel = func() error {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return cmd.Process.Kill()
		}
		return nil
	}
	c := &child{exited: make(chan struct{}), log: &tail{copy: w}}
	cmd.Stdout, cmd.Stderr = c.log, c.log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w.\nBuild it first: ./xcaddy.sh", binary, err)
	}
	go func() {
		c.err = cmd.Wait()
		close(c.exited)
	}()
	return c, nil
}

// death explains an exit nobody asked for.
func (c *child) death() error {
	cause := c.err
	if cause == nil {
		cause = errors.New("exit status 0")
	}
	return fmt.Errorf("caddy ended: %w. Its last words:\n\n%s", cause, c.log.String())
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
	copy io.Writer
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if extra := len(t.kept) - tailSize; extra > 0 {
		t.kept = append(t.kept[:0], t.kept[extra:]...)
	}
	if t.copy != nil {
		_, _ = t.copy.Write(p) // a closed terminal must not stop Caddy
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}
