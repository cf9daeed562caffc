// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testpostgres"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// A rollout starts every gateway of a new cluster in the same second.
func TestManyGatewaysStartAtOnce(t *testing.T) {
	t.Parallel()
	server := testpostgres.Shared(t)
	o := Options{DSN: server.DSN(), Schema: testpostgres.NewSchema(), MaxConnections: 1, SweepInterval: -1}
	stores := make([]*Store, 64)
	allOK(t, atOnce(len(stores), func(i int) (err error) {
		if stores[i], err = Open(t.Context(), o); err != nil {
			return err
		}
		return stores[i].CreateClient(t.Context(), storagetest.NewClient(issuer, "client "+string(rune('A'+i)), time.Now()))
	}))
	conn := connect(t, server)
	if n := number(t, conn, "SELECT count(*) FROM "+in(stores[0], "schema_version")); n != 1 {
		t.Errorf("%d migrations were noted, want 1", n)
	}
	if n := number(t, conn, "SELECT count(*) FROM "+in(stores[0], "counters")); n != 3 {
		t.Errorf("%d counters, want 3", n)
	}
	if n := number(t, conn, "SELECT count(*) FROM "+in(stores[0], "clients")); n != 64 {
		t.Errorf("%d clients, want 64", n)
	}
	checkCounter(t, stores[0], conn)
	for _, s := range stores {
		ok(t, s.Close())
	}
}

// One gateway was not updated with the others. It must neither write what the
// newer ones misunderstand nor undo what they did.
func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	server := testpostgres.Shared(t)
	s := open(t)
	conn := connect(t, server)
	exec(t, conn, "INSERT INTO "+in(s, "schema_version")+" (version) VALUES (2)")
	schema := strings.Split(in(s, "x"), `"`)[1]
	_, err := Open(t.Context(), Options{DSN: server.DSN(), Schema: schema})
	wantErr(t, err, ErrNewer)
	for _, word := range []string{schema, "version 2", "knows 1", "backup"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
	ok(t, s.CreateClient(t.Context(), storagetest.NewClient(issuer, "client", time.Now()))) // the running one goes on
}

func TestMigrations(t *testing.T) {
	t.Parallel()
	conn := connect(t, testpostgres.Shared(t))
	version := func(schema string) int {
		v, err := schemaVersion(t.Context(), conn, schema)
		ok(t, err)
		return v
	}
	one, two := "CREATE TABLE one (a int)", "ALTER TABLE one ADD b int; CREATE TABLE two (a int)"
	t.Run("go on from where the schema is", func(t *testing.T) {
		schema := testpostgres.NewSchema()
		ok(t, migrate(t.Context(), conn, schema, []string{one}))
		ok(t, migrate(t.Context(), conn, schema, []string{one}))
		ok(t, migrate(t.Context(), conn, schema, []string{one, two}))
		if v := version(schema); v != 2 {
			t.Errorf("version %d, want 2", v)
		}
		number(t, conn, "SELECT count(b) FROM "+pgx.Identifier{schema, "one"}.Sanitize())
	})
	// Half of a change would be a schema that neither version knows.
	t.Run("that fail change nothing", func(t *testing.T) {
		schema := testpostgres.NewSchema()
		for _, broken := range []string{two + "; SELECT 1/0", two + "; CREATE TABLE one ()", "no SQL at all"} {
			err := migrate(t.Context(), conn, schema, []string{one, broken})
			if err == nil || !strings.Contains(err.Error(), "migration 2") {
				t.Fatalf("error %v, want one of migration 2", err)
			}
			if n := number(t, conn, "SELECT count(*) FROM pg_namespace WHERE nspname = $1", schema); n != 0 {
				t.Error("the schema stayed")
			}
		}
		ok(t, migrate(t.Context(), conn, schema, []string{one}))
		if err := migrate(t.Context(), conn, schema, []string{one, two + "; SELECT 1/0"}); err == nil {
			t.Fatal("no error")
		}
		if v := version(schema); v != 1 {
			t.Errorf("version %d after a failure, want 1", v)
		}
		if n := number(t, conn, "SELECT count(*) FROM pg_tables WHERE schemaname = $1 AND tablename = 'two'", schema); n != 0 {
			t.Error("a table of the failed migration stayed")
		}
		ok(t, migrate(t.Context(), conn, schema, []string{one, two}))
	})
	t.Run("of two schemas do not wait for each other", func(t *testing.T) {
		holder := connect(t, testpostgres.Shared(t))
		tx, err := holder.Begin(t.Context())
		ok(t, err)
		_, err = tx.Exec(t.Context(), "SELECT pg_advisory_xact_lock($1)", lockNumber("held"))
		ok(t, err)
		ok(t, migrate(t.Context(), conn, testpostgres.NewSchema(), []string{one}))
	})
}

// The files are numbered without a gap: what is at index n is migration n+1.
func TestMigrationFiles(t *testing.T) {
	t.Parallel()
	texts := known()
	if len(texts) != 1 || !strings.Contains(texts[0], "CREATE TABLE grants") {
		t.Fatalf("%d migrations", len(texts))
	}
	for _, text := range texts {
		// A migration that ends the transaction would not be undone with it.
		for _, word := range []string{"COMMIT", "CONCURRENTLY", "VACUUM"} {
			if strings.Contains(strings.ToUpper(text), word) {
				t.Errorf("a migration contains %s", word)
			}
		}
	}
}

// The schemas of two clusters in one database know nothing of each other, and a
// schema may have any name.
func TestSchemaNames(t *testing.T) {
	t.Parallel()
	server := testpostgres.Shared(t)
	for _, name := range []string{"UPPER Case", `quo"ted`, "with.dot", "ünïcode", `'; DROP SCHEMA public; --`, strings.Repeat("x", 63)} {
		s := openWith(t, Options{DSN: server.DSN(), Schema: name})
		ok(t, s.CreateClient(t.Context(), storagetest.NewClient(issuer, name, time.Now())))
		ok(t, s.KeepClient(t.Context(), issuer, name))
		_, err := s.Sweep(t.Context())
		ok(t, err)
		_, err = s.DeleteClient(t.Context(), issuer, name)
		ok(t, err)
		ok(t, s.Import(t.Context(), s.Export(t.Context())))
	}
	for _, name := range []string{"pg_mine", strings.Repeat("x", 64), "a\x00b", "\xff"} {
		if _, err := Open(t.Context(), Options{DSN: server.DSN(), Schema: name}); err == nil {
			t.Errorf("schema %q was not refused", name)
		}
	}
}
