// SPDX-License-Identifier: Apache-2.0

// Package testpostgres runs a PostgreSQL server for tests: a fresh one in a
// temporary directory, reached through a Unix socket only, that may be stopped,
// killed and started again.
//
//	server := testpostgres.Start(t)
//	store, err := postgres.Open(ctx, postgres.Options{DSN: server.DSN()})
//
// A test that needs no server of its own takes Shared, one per test binary, and
// keeps to a Schema of its own there. Where the programs of PostgreSQL are missing
// the test is skipped, see internal/testreq. No server outlives its test binary,
// however that ends.
package testpostgres

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testreq"
)

// patience bounds every wait for the server: initdb on a loaded machine is slow.
const patience = time.Minute

// Server is one PostgreSQL cluster. Its methods fail the test they were given.
type Server struct {
	bin     string // where the programs are
	dir     string // of the socket, the log and the data
	owner   *syscall.SysProcAttr
	options options

	mu      sync.Mutex
	process *exec.Cmd
	exited  chan struct{}
	guard   *guard
}

type options struct{ durable bool }

// Option changes how a server is started.
type Option func(*options)

// Durable makes the server wait for its disk, as one in production does. Without
// it a killed server keeps what it acknowledged, but its commits are faster than
// any real one's.
func Durable(o *options) { o.durable = true }

// Start starts a server for one test, which ends with it.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s := create(t, opts)
	t.Cleanup(func() { s.guard.end(); s.wait(patience) })
	s.Restart(t)
	return s
}

var shared struct {
	once   sync.Once
	server *Server
}

// Shared returns the server that all tests of this test binary share. Nobody may
// stop it.
func Shared(t testing.TB) *Server {
	t.Helper()
	need(t)
	shared.once.Do(func() {
		s := create(t, nil)
		s.Restart(t)
		shared.server = s
	})
	if shared.server == nil {
		t.Fatal("the shared server of another test did not start")
	}
	return shared.server
}

// create makes a cluster and does not start it.
func create(t testing.TB, opts []Option) *Server {
	t.Helper()
	bin := need(t)
	s := &Server{bin: bin}
	for _, opt := range opts {
		opt(&s.options)
	}
	var err error
	if s.owner, err = credential(); err != nil {
		t.Fatalf("testpostgres: %v", err)
	}
	if err := s.initialise(); err != nil {
		t.Fatalf("testpostgres: %v", err)
	}
	if s.guard, err = s.startGuard(); err != nil {
		_ = os.RemoveAll(s.dir)
		t.Fatalf("testpostgres: %v", err)
	}
	return s
}

// need returns the directory of the programs.
func need(t testing.TB) string {
	t.Helper()
	bin, err := programs()
	if err == nil {
		_, err = credential()
	}
	hint := ""
	if err != nil {
		hint = err.Error()
	}
	testreq.Need(t, "PostgreSQL 13 or newer", err == nil, hint)
	return bin
}

// programs finds the directory with the programs: where Debian has it, or by way
// of PATH.
func programs() (string, error) {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if path, err := exec.LookPath("postgres"); err == nil {
		// A link may lead to one program without the others.
		if path, err = filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	for _, dir := range slices.Backward(dirs) {
		if complete(dir) {
			return dir, nil
		}
	}
	return "", errors.New("apt-get install postgresql, or put postgres, initdb and pg_ctl into PATH")
}

func complete(dir string) bool {
	for _, name := range []string{"postgres", "initdb", "pg_ctl"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

// DSN is where the server is reached by its superuser, without a password.
func (s *Server) DSN() string { return s.DSNOf("postgres", "") }

// PasswordRole is the name of the only role that the server asks for a password.
// It is not there until a test creates it.
const PasswordRole = "with_password"

// DSNOf is DSN for another role.
func (s *Server) DSNOf(role, password string) string {
	user := url.User(role)
	if password != "" {
		user = url.UserPassword(role, password)
	}
	u := url.URL{Scheme: "postgres", User: user, Path: "/postgres", RawQuery: url.Values{"host": {s.dir}}.Encode()}
	return u.String()
}

// Dir is the directory with the server's socket, for a proxy in front of it.
func (s *Server) Dir() string { return s.dir }

var schemas atomic.Int64

// NewSchema returns the name of a schema that is not there yet. Dropping it is
// not worth the while: all of it goes with the server.
func NewSchema() string { return fmt.Sprintf("test_%d", schemas.Add(1)) }
