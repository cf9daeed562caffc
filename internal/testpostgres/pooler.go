// SPDX-License-Identifier: Apache-2.0

package testpostgres

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testreq"
)

const poolerConfig = `
[databases]
postgres = host=%[1]s dbname=postgres user=postgres
[pgbouncer]
unix_socket_dir = %[2]s
listen_port = 6432
auth_type = any
pool_mode = transaction
default_pool_size = 5
max_client_conn = 200
`

// Pooler starts a PgBouncer in front of the server that lends its few connections
// for one transaction at a time. It returns the DSN of the superuser through it.
func (s *Server) Pooler(t testing.TB) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // not in everybody's PATH
		_, err = os.Stat(program)
	}
	testreq.Need(t, "pgbouncer", err == nil, "apt-get install pgbouncer")
	dir, err := os.MkdirTemp("", "pgb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	config := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(config, fmt.Appendf(nil, poolerConfig, s.dir, dir), 0o644); err != nil { //nolint:gosec // read by the server's user
		t.Fatal(err)
	}
	if err := giveTo(dir, s.owner); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-q", config)
	cmd.Dir, cmd.SysProcAttr = dir, s.owner
	if err := cmd.Start(); err != nil {
		t.Fatalf("start pgbouncer: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	awaitSocket(t, filepath.Join(dir, ".s.PGSQL.6432"))
	return "postgres://postgres@/postgres?" + url.Values{"host": {dir}, "port": {"6432"}}.Encode()
}

func awaitSocket(t testing.TB, path string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("unix", path)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("pgbouncer does not answer: %v", err)
		}
	}
}
