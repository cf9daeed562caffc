// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testpostgres"
)

// The password stands in the connection string, an operator exchanges it and reloads the
// configuration: one state is opened once, so the store that is open has to learn it.
func TestAnotherLogin(t *testing.T) {
	t.Parallel()
	server := testpostgres.Start(t)
	admin := connect(t, server)
	exec(t, admin, "CREATE ROLE "+testpostgres.PasswordRole+" LOGIN SUPERUSER PASSWORD 'first s3cret'")
	s := openWith(t, Options{DSN: server.DSNOf(testpostgres.PasswordRole, "first s3cret"), MaxConnections: 2})
	s.Wait(t.Context(), 1, time.Millisecond)
	eventually(t, "one listens", func() bool { return len(listeners(t, s, admin)) == 1 })
	exec(t, admin, "ALTER ROLE "+testpostgres.PasswordRole+" PASSWORD 'second s3cret'")
	exec(t, admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", testpostgres.PasswordRole)
	_, err := s.Head(t.Context())
	if err == nil || !strings.Contains(err.Error(), "28P01") {
		t.Fatalf("with the old password: %v", err)
	}
	wantNoSecret(t, err)

	err = s.SetLogin(Options{DSN: "s3cret://"})
	if err == nil {
		t.Error("no error for what is no connection string")
	}
	wantNoSecret(t, err)
	ok(t, s.SetLogin(Options{DSN: server.DSNOf(testpostgres.PasswordRole, "second s3cret")}))
	s.pool.Reset() // of connections that are dead, which is looked at only after a second
	live(t, s, "grant")
	_, err = s.Head(t.Context())
	ok(t, err)
	eventually(t, "one listens again", func() bool { return len(listeners(t, s, admin)) == 1 })

	ok(t, s.SetLogin(Options{DSN: server.DSN()}))
	s.pool.Reset()
	live(t, s, "another")
	if n := number(t, admin, "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND query LIKE '%grants%'", testpostgres.PasswordRole); n != 0 {
		t.Errorf("%d connections of the pool are of the old role", n)
	}
}
