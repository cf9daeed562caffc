// SPDX-License-Identifier: Apache-2.0

package testpostgres_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testpostgres"
)

// childVar makes the test binary a test run that starts a server and hangs.
const childVar = "MCP_OAUTH_TESTPOSTGRES_CHILD"

func query(t *testing.T, dsn, sql string) (text string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, sql).Scan(&text)
	return text, err
}

func want(t *testing.T, s *testpostgres.Server, sql, want string) {
	t.Helper()
	if got, err := query(t, s.DSN(), sql); err != nil || got != want {
		t.Fatalf("%s: %q, %v; want %q", sql, got, err, want)
	}
}

func TestServer(t *testing.T) {
	t.Parallel()
	s := testpostgres.Start(t)
	want(t, s, "SELECT lo_create(4711)::text", "4711")
	for name, stop := range map[string]func(testing.TB){"stop": s.Stop, "kill": s.Kill} {
		stop(t)
		stop(t) // what has ended may be ended
		if _, err := query(t, s.DSN(), "SELECT 'x'"); err == nil {
			t.Fatalf("after %s it answers", name)
		}
		s.Restart(t)
		s.Restart(t) // and what runs be started
		want(t, s, "SELECT oid::text FROM pg_largeobject_metadata", "4711")
	}
	want(t, s, "SHOW listen_addresses", "")
	want(t, s, "SHOW fsync", "off")
}

func TestDurableServer(t *testing.T) {
	t.Parallel()
	s := testpostgres.Start(t, testpostgres.Durable)
	for _, setting := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		want(t, s, "SHOW "+setting, "on")
	}
}

func TestServersEndWithTheirTest(t *testing.T) {
	t.Parallel()
	var dir string
	t.Run("test", func(t *testing.T) {
		dir = testpostgres.Start(t).Dir()
	})
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", dir, err)
	}
}

func TestSharedServer(t *testing.T) {
	t.Parallel()
	if first, second := testpostgres.Shared(t), testpostgres.Shared(t); first != second {
		t.Error("two servers")
	}
	if first, second := testpostgres.NewSchema(), testpostgres.NewSchema(); first == second {
		t.Error("one schema twice")
	}
	want(t, testpostgres.Shared(t), "SELECT current_user::text", "postgres")
}

func TestPooler(t *testing.T) {
	t.Parallel()
	dsn := testpostgres.Shared(t).Pooler(t) + "&default_query_exec_mode=exec"
	if got, err := query(t, dsn, "SELECT 'through it'"); err != nil || got != "through it" {
		t.Fatalf("%q, %v", got, err)
	}
}

// A test run is killed: by its own timeout, by CI, by an impatient developer. The
// servers it started must not stay behind.
func TestServersEndWithAKilledTestBinary(t *testing.T) {
	if os.Getenv(childVar) != "" {
		s := testpostgres.Start(t)
		_, _ = os.Stdout.WriteString("dir " + s.Dir() + "\n")
		time.Sleep(time.Minute)
		return
	}
	t.Parallel()
	testpostgres.Shared(t) // or be skipped
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestServersEndWithAKilledTestBinary$")
	cmd.Env = append(os.Environ(), childVar+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	buf := make([]byte, 4096)
	n, err := out.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	dir, found := strings.CutPrefix(strings.TrimSpace(string(buf[:n])), "dir ")
	if !found {
		t.Fatalf("the child says %q", buf[:n])
	}
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(dir); os.IsNotExist(err) {
			return // the guard removes it last
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is still there", dir)
		}
	}
}
