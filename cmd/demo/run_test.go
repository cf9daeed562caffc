// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// output collects what a demo prints while it runs.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// demo is one run of the program in this process, with the stand-in for Caddy.
type demo struct {
	out    output
	cancel context.CancelFunc
	done   chan error
	temp   string
	port   int
}

// start runs a demo; its temporary files go into a directory of the test.
func start(t *testing.T, mode string) *demo {
	t.Helper()
	t.Setenv(envFake, mode)
	d := &demo{done: make(chan error, 1), temp: t.TempDir(), port: freePort(t)}
	t.Setenv("TMPDIR", d.temp)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	d.cancel = cancel
	t.Cleanup(cancel)
	go func() {
		d.done <- run(ctx, options{port: d.port, caddy: self}, &d.out, io.Discard)
	}()
	return d
}

// announced waits for the announcement.
func (d *demo) announced(t *testing.T) string {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if text := d.out.String(); strings.Contains(text, "Ctrl-C") {
			return text
		}
		select {
		case err := <-d.done:
			t.Fatalf("ended before it was ready: %v", err)
		default:
		}
	}
	t.Fatal("nothing announced within 10 s")
	return ""
}

// end waits for the demo to end and returns its error.
func (d *demo) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-d.done:
		return err
	case <-time.After(time.Minute):
		t.Fatal("did not end within a minute")
		return nil
	}
}

// leftovers are the files still in the temporary directory.
func (d *demo) leftovers(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(d.temp, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestDemoRunsUntilCtrlCAndCleansUp(t *testing.T) {
	d := start(t, fakeGuards)
	text := d.announced(t)

	configs, err := filepath.Glob(filepath.Join(d.temp, "mcp-demo-*", "Caddyfile"))
	if err != nil || len(configs) != 1 {
		t.Fatalf("Caddyfiles %v, %v; want one", configs, err)
	}
	config, err := os.ReadFile(configs[0])
	if err != nil {
		t.Fatal(err)
	}
	password := regexp.MustCompile(`Password +(\S+)`).FindStringSubmatch(text)[1]
	hash := regexp.MustCompile(`user demo (\S+) `).FindSubmatch(config)[1]
	if err := bcrypt.CompareHashAndPassword(hash, []byte(password)); err != nil {
		t.Errorf("the printed password does not open the configured user: %v", err)
	}
	if strings.Contains(string(config), password) {
		t.Error("the password itself is in the Caddyfile")
	}
	if info, err := os.Stat(configs[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("Caddyfile mode %v, %v; want 0600", info.Mode(), err)
	}

	d.cancel()
	if err := d.end(t); err != nil {
		t.Errorf("Ctrl-C ended with %v", err)
	}
	if left := d.leftovers(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if addr, taken := portTaken(d.port, []string{"127.0.0.1"}); taken {
		t.Errorf("%s is still in use: the child survived", addr)
	}
}

func TestDemoExplainsACaddyThatRefuses(t *testing.T) {
	d := start(t, fakeDies)
	err := d.end(t)
	if err == nil || !strings.Contains(err.Error(), "unrecognized directive: mcp_gateway") {
		t.Errorf("error %v, want Caddy's own words", err)
	}
	if left := d.leftovers(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDemoEndsWhenCaddyCrashes(t *testing.T) {
	d := start(t, fakeCollapse)
	err := d.end(t)
	if err == nil || !strings.Contains(err.Error(), "panic: out of luck") {
		t.Errorf("error %v, want Caddy's last words", err)
	}
	if left := d.leftovers(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDemoKillsACaddyThatDoesNotListen(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the grace period")
	}
	d := start(t, fakeStubborn)
	d.announced(t)
	d.cancel()
	if err := d.end(t); err != nil {
		t.Errorf("Ctrl-C ended with %v", err)
	}
	if addr, taken := portTaken(d.port, []string{"127.0.0.1"}); taken {
		t.Errorf("%s is still in use: the child survived", addr)
	}
}

// Ctrl-C while the gateway is still coming up is an ordinary end, not a failure.
func TestDemoCanBeStoppedBeforeItIsReady(t *testing.T) {
	for name, wait := range map[string]func(*demo) bool{
		"at once": func(*demo) bool { return true },
		"while waiting": func(d *demo) bool {
			_, listening := portTaken(d.port, []string{"127.0.0.1"})
			return listening
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := start(t, fakeOpen)
			for deadline := time.Now().Add(5 * time.Second); !wait(d) && time.Now().Before(deadline); {
				time.Sleep(10 * time.Millisecond)
			}
			d.cancel()
			if err := d.end(t); err != nil {
				t.Errorf("ended with %v", err)
			}
			if left := d.leftovers(t); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestDemoSaysWhenThePortIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	port := l.Addr().(*net.TCPAddr).Port
	err = run(t.Context(), options{port: port, caddy: "/does/not/matter"}, io.Discard, io.Discard)
	if err == nil {
		t.Fatal("ran on a taken port")
	}
	for _, want := range []string{l.Addr().String(), "-port ", "DEMO_PORT="} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not mention %q", err, want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(temp, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDemoSaysWhenCaddyIsNotBuilt(t *testing.T) {
	err := run(t.Context(), options{port: freePort(t), caddy: filepath.Join(t.TempDir(), "caddy")}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "./xcaddy.sh") {
		t.Errorf("error %v, want how to build it", err)
	}
}

func TestDemoSaysWhenTheBackendPortIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	opts := options{port: freePort(t), backendPort: l.Addr().(*net.TCPAddr).Port, caddy: "x"}
	err = run(t.Context(), opts, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "-backend-port") {
		t.Errorf("error %v, want the option to change", err)
	}
}
