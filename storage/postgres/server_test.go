// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testpostgres"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

func TestServerVersion(t *testing.T) {
	t.Parallel()
	for version, good := range map[int]bool{90624: false, 120022: false, 130000: true, 150018: true, 180001: true} {
		err := settings{version: version, versionText: "12.22 (Debian)"}.check()
		if (err == nil) != good {
			t.Errorf("version %d: %v", version, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "12.22") || !strings.Contains(err.Error(), "13 or newer")) {
			t.Errorf("error %q does not say which version is there and which is needed", err)
		}
	}
}

// Somebody tuned the database for speed. Whoever runs the gateway has to hear what
// that means for it.
func TestSettingsThatForget(t *testing.T) {
	t.Parallel()
	server := testpostgres.Start(t, testpostgres.Durable)
	admin := connect(t, server)
	exec(t, admin, "CREATE ROLE fast LOGIN SUPERUSER; ALTER ROLE fast SET synchronous_commit = off")
	warnings := func(dsn string) string {
		var log journal
		ok(t, openWith(t, Options{DSN: dsn, Logger: log.logger()}).Close())
		return log.String()
	}
	if log := warnings(server.DSN()); strings.Contains(log, "WARN") {
		t.Errorf("warning about a server that is set up well: %s", log)
	}
	log := warnings(server.DSNOf("fast", ""))
	for _, words := range []string{"level=WARN", "synchronous_commit off", "refresh tokens", "revoked grants"} {
		if !strings.Contains(log, words) {
			t.Errorf("log does not say %q: %s", words, log)
		}
	}
	log = warnings(testpostgres.Shared(t).DSN())
	for _, words := range []string{"fsync off", "full_page_writes off", "damaged"} {
		if !strings.Contains(log, words) {
			t.Errorf("log does not say %q: %s", words, log)
		}
	}
}

// A standby is made from a server that has stopped by a file in its directory.
func standby(t *testing.T, server *testpostgres.Server) {
	t.Helper()
	server.Stop(t)
	path := filepath.Join(server.Dir(), "data", "standby.signal")
	if err := os.WriteFile(path, nil, 0o644); err != nil { //nolint:gosec // for the server's user
		t.Fatal(err)
	}
	server.Restart(t)
}

// The name of the database leads to a standby.
func TestStandbyIsRefused(t *testing.T) {
	t.Parallel()
	server := testpostgres.Start(t)
	ok(t, openWith(t, Options{DSN: server.DSN()}).Close())
	standby(t, server)
	_, err := Open(t.Context(), Options{DSN: server.DSN()})
	wantErr(t, err, ErrReadOnly)
	admin := connect(t, server)
	exec(t, admin, "SELECT pg_promote()")
	s := openWith(t, Options{DSN: server.DSN()})
	exec(t, admin, "CREATE ROLE reader LOGIN; ALTER ROLE reader SET default_transaction_read_only = on")
	_, err = Open(t.Context(), Options{DSN: server.DSNOf("reader", "")})
	wantErr(t, err, ErrReadOnly)
	if !strings.Contains(err.Error(), "default_transaction_read_only") || !strings.Contains(err.Error(), "standby") {
		t.Errorf("error %q", err)
	}
	ok(t, s.CreateGrant(t.Context(), storagetest.NewGrant(issuer, "grant", time.Now())))
}

// The primary is demoted under a running gateway and a standby promoted. It fails
// closed meanwhile and goes on by itself.
func TestFailover(t *testing.T) {
	t.Parallel()
	server := testpostgres.Start(t)
	s := openWith(t, Options{DSN: server.DSN()})
	live(t, s, "grant")
	standby(t, server)
	for range 3 {
		if err := s.RevokeGrant(t.Context(), issuer, "grant"); err == nil || isAnswer(err) || !strings.Contains(err.Error(), "read-only") {
			t.Fatalf("a standby: %v", err)
		}
	}
	exec(t, connect(t, server), "SELECT pg_promote()")
	ok(t, s.RevokeGrant(t.Context(), issuer, "grant"))
}

// A connection that was made to the primary outlives its demotion.
func TestConnectionToADemotedServer(t *testing.T) {
	t.Parallel()
	s := openWith(t, Options{DSN: testpostgres.Shared(t).DSN(), Schema: testpostgres.NewSchema(), MaxConnections: 1})
	conn, err := s.pool.Acquire(t.Context())
	ok(t, err)
	_, err = conn.Exec(t.Context(), "SET default_transaction_read_only = on")
	ok(t, err)
	conn.Release()
	// One statement goes by the session; a transaction says itself that it writes.
	ok(t, s.CreateGrant(t.Context(), storagetest.NewGrant(issuer, "grant", time.Now())))
	ok(t, s.CreateGrant(t.Context(), storagetest.NewGrant(issuer, "another", time.Now())))
}
