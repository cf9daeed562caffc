// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testreq"
)

// namespace is a network of its own: interfaces, addresses and ports that nothing
// else on the machine sees. It has no name anywhere, only this file descriptor and
// the processes in it, so the kernel removes it with the test process, whatever that
// dies of. A nil one is the network of the test.
type namespace struct{ file *os.File }

// needNamespaces ends the test where it may not make any.
func needNamespaces(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("ip")
	if err == nil {
		var ns *namespace
		if ns, err = unshareNetwork(); err == nil {
			_ = ns.file.Close()
		}
	}
	hint := ""
	if err != nil {
		hint = err.Error() + "; run as root with CAP_NET_ADMIN and CAP_SYS_ADMIN, with iproute2 installed"
	}
	testreq.Need(t, "network namespaces", err == nil, hint)
}

// newNamespace makes a network with nothing but loopback.
func newNamespace(t *testing.T) *namespace {
	t.Helper()
	ns, err := unshareNetwork()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.file.Close() })
	ns.ip(t, "link set lo up")
	return ns
}

func unshareNetwork() (*namespace, error) {
	type result struct {
		ns  *namespace
		err error
	}
	made := make(chan result, 1)
	go func() {
		// Not unlocked: the thread is in the other network, and ends with the goroutine.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			made <- result{err: fmt.Errorf("make a network namespace: %w", err)}
			return
		}
		file, err := os.Open("/proc/thread-self/ns/net")
		made <- result{&namespace{file}, err}
	}()
	r := <-made
	return r.ns, r.err
}

// do runs f on a thread in the namespace. What f makes there stays there: a socket
// belongs to the network it was made in, a process to that of its parent.
func (ns *namespace) do(f func() error) error {
	if ns == nil {
		return f()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(int(ns.file.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter a network namespace: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}

// ip runs iproute2's command in the namespace.
func (ns *namespace) ip(t *testing.T, args string) {
	t.Helper()
	err := ns.do(func() error {
		out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %s: %w: %s", args, err, out)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// path names the namespace for other programs.
func (ns *namespace) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.file.Fd()) }

func (ns *namespace) listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	var l net.Listener
	err := ns.do(func() (err error) {
		l, err = net.Listen("tcp", addr)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// dial connects to an IP address. (A name would be looked up on another thread.)
func (ns *namespace) dial(ctx context.Context, addr string) (net.Conn, error) {
	var c net.Conn
	err := ns.do(func() (err error) {
		c, err = new(net.Dialer).DialContext(ctx, "tcp", addr)
		return err
	})
	return c, err
}

// spawn starts a process in the namespace, which ends with the test process at the
// latest. Its end closes the channel.
func (ns *namespace) spawn(cmd *exec.Cmd) (exited <-chan struct{}, err error) {
	// The kernel takes the end of the thread that started it for that of the parent.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		err := ns.do(func() error {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			err := cmd.Start()
			if err == nil {
				started <- nil
				_ = cmd.Wait() // how it ended shows in its log
			}
			return err
		})
		if err != nil {
			started <- err
		}
	}()
	return ended, <-started
}
