// SPDX-License-Identifier: Apache-2.0

// Package testredis starts real Redis or Valkey servers for tests: alone, with replicas,
// as a cluster, with TLS; and kills, freezes and restarts them.
//
//	func TestMain(m *testing.M) { os.Exit(testredis.Main(m)) }
//
//	server := testredis.Shared(t)             // one for the package; take a prefix each
//	own := testredis.Start(t, testredis.AppendOnly("always"))
//	own.Kill(); own.Restart()
//
// Servers listen on loopback only. They end with their test, and with the test process
// even if that is killed.
package testredis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testreq"
)

// Env names another binary to test with, such as that of an older version.
const Env = "MCP_OAUTH_TEST_REDIS_SERVER"

// patience is how long a server may take to start or to end on a loaded machine.
const patience = 30 * time.Second

// Server is a running server, or one that was stopped and can be restarted.
type Server struct {
	t    testing.TB
	dir  string
	addr string
	opts options

	mu      sync.Mutex
	process *process
	client  *redis.Client
}

// Binary returns the path of the server program, and ends the test where there is none.
func Binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv(Env)
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path == "" {
			path, _ = exec.LookPath(name)
		}
	}
	testreq.Need(t, "redis-server", path != "", "apt-get install redis-server, or name a binary in "+Env)
	return path
}

// Start runs a server of its own for a test. It fails the test if that does not come up.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s, err := start(t, Binary(t), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.end(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func start(t testing.TB, binary string, opts []Option) (*Server, error) {
	// Not t.TempDir: the path of a socket has to be short.
	dir, err := os.MkdirTemp("", "redis-")
	if err != nil {
		return nil, err
	}
	s := &Server{t: t, dir: dir}
	for _, o := range opts {
		o(&s.opts)
	}
	s.opts.binary = binary
	// Between the choice of a port and its use another program may take it.
	for range 5 {
		if s.addr, err = s.address(); err != nil {
			break
		}
		if err = s.run(); err == nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("testredis: %w\n%s", err, s.Log())
}

// address chooses where to listen.
func (s *Server) address() (string, error) {
	if s.opts.unix {
		return filepath.Join(s.dir, "redis.sock"), nil
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

// run starts the process and waits until it answers and has loaded its data.
func (s *Server) run() error {
	args, err := s.arguments()
	if err != nil {
		return err
	}
	p, err := startProcess(s.opts.binary, args, filepath.Join(s.dir, "log"))
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.process = p
	s.client = redis.NewClient(&redis.Options{Addr: s.addr, TLSConfig: s.opts.clientTLS, MaxRetries: -1, DialerRetries: 1, Protocol: 2})
	s.mu.Unlock()
	if s.opts.eager {
		return nil
	}
	if err := s.ready(); err != nil {
		s.Kill()
		return err
	}
	return nil
}

func (s *Server) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := s.ping(ctx)
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no answer within %s: %w", patience, err)
		case <-s.process.ended:
			return fmt.Errorf("the server ended: %w", s.process.err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	return s.settle(ctx)
}

// ping dials by itself first, for the driver writes of every failure to standard error.
func (s *Server) ping(ctx context.Context) error {
	network := "tcp"
	if s.opts.unix {
		network = "unix"
	}
	c, err := (&net.Dialer{}).DialContext(ctx, network, s.addr)
	if err != nil {
		return err
	}
	return errors.Join(c.Close(), s.client.Ping(ctx).Err())
}

// Addr is host:port, or the path of the socket.
func (s *Server) Addr() string { return s.addr }

// Do runs one command and returns the answer, as an administrator beside the program
// under test. It fails the test if the server refuses.
func (s *Server) Do(args ...any) any {
	s.t.Helper()
	answer, err := s.do(args)
	if err != nil {
		s.t.Fatalf("testredis: %v: %v", args[0], err)
	}
	return answer
}

// Try is Do for a command that the server may refuse.
func (s *Server) Try(args ...any) error {
	_, err := s.do(args)
	return err
}

func (s *Server) do(args []any) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.mu.Lock()
	client := s.client
	s.mu.Unlock()
	answer, err := client.Do(ctx, args...).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return answer, err
}

// Log is what the server wrote.
func (s *Server) Log() string {
	raw, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// WaitLog waits until the server has written a text to its log.
func (s *Server) WaitLog(text string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if strings.Contains(s.Log(), text) {
			return
		}
	}
	s.t.Fatalf("testredis: %q is not in the log:\n%s", text, s.Log())
}
