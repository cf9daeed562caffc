// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testpostgres"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// role makes a role without any privilege of its own.
func role(t *testing.T, conn *pgx.Conn, name string) string {
	t.Helper()
	exec(t, conn, "CREATE ROLE "+name+" LOGIN")
	exec(t, conn, "REVOKE ALL ON DATABASE postgres FROM PUBLIC")
	exec(t, conn, "GRANT CONNECT ON DATABASE postgres TO "+name)
	return name
}

// everyVerb calls all of Store, Feed and Archive, so that every statement is run.
func everyVerb(t *testing.T, s *Store) {
	t.Helper()
	ctx, now := t.Context(), time.Now()
	verbs := map[string]func() error{
		"clients": func() error {
			s.maxUnused = 1
			for _, id := range []string{"a", "b"} {
				if err := s.CreateClient(ctx, storagetest.NewClient(issuer, id, now.Add(-time.Hour))); err != nil {
					return err
				}
			}
			_, err := s.Client(ctx, issuer, "b")
			return errors.Join(err, s.KeepClient(ctx, issuer, "b"))
		},
		"pendings": func() error {
			p := storagetest.NewPending(issuer, "state", now)
			err := s.CreatePending(ctx, p)
			_, err2 := s.Pending(ctx, issuer, p.ID)
			_, err3 := s.TakePending(ctx, issuer, p.ID)
			return errors.Join(err, err2, err3)
		},
		"accounts": func() error {
			a := storagetest.NewAccount("1", now)
			err := s.SaveAccount(ctx, a)
			a.Revision = 1
			_, err2 := s.Account(ctx, a.Subject)
			_, _, err3 := s.Accounts(ctx, "", 10)
			return errors.Join(err, s.ReplaceAccount(ctx, a), err2, err3)
		},
		"grants": func() error {
			live(t, s, "grant")
			live(t, s, "revoked")
			_, err := s.RotateRefresh(ctx, issuer, "grant", rotation(storagetest.NewRedemption("grant").Refresh, storage.Hash{1}))
			_, err2 := s.Grant(ctx, issuer, "grant")
			_, err3 := s.GrantsOf(ctx, "github:583231")
			_, err4 := s.DeleteClient(ctx, issuer, "client")
			return errors.Join(err, err2, err3, s.RevokeGrant(ctx, issuer, "revoked"), err4)
		},
		"sessions": func() error {
			session := storagetest.NewSession(issuer, "cookie", now)
			err := s.CreateSession(ctx, session)
			_, err2 := s.Session(ctx, issuer, session.ID)
			return errors.Join(err, err2, s.TouchSession(ctx, issuer, session.ID, 3*time.Hour),
				s.DeleteSession(ctx, issuer, session.ID), s.DeleteSessions(ctx, session.Subject))
		},
		"consents": func() error {
			c := storagetest.NewConsent(issuer, "decision", "github:1", now)
			err := errors.Join(s.SaveConsent(ctx, c), s.SaveConsent(ctx, c))
			_, err2 := s.Consent(ctx, issuer, c.ID)
			return errors.Join(err, err2, s.DeleteConsents(ctx, issuer, "github:1"))
		},
		"keys": func() error {
			k := storagetest.NewKey(issuer, "key", now)
			err := s.CreateKey(ctx, k)
			_, err2 := s.Keys(ctx, issuer)
			return errors.Join(err, s.ReplaceKey(ctx, k), err2)
		},
		"used ids": func() error { return s.RememberOnce(ctx, issuer, storage.Hash{1}, time.Nanosecond) },
		"feed": func() error {
			head, err := s.Head(ctx)
			_, _, err2 := s.Changes(ctx, head, 10)
			s.Wait(ctx, head, time.Millisecond)
			return errors.Join(err, err2)
		},
		"sweep": func() error { _, err := s.Sweep(ctx); return err },
	}
	for name, verb := range verbs {
		if err := verb(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, err := range s.Export(ctx) {
		ok(t, err)
	}
	wantErr(t, s.Import(ctx, s.Export(ctx)), storage.ErrNotEmpty)
}

// A database team makes the schema and nothing else: the role owns neither the
// database nor the right to make schemas.
func TestRoleThatMayCreateInItsSchemaOnly(t *testing.T) {
	t.Parallel()
	server := testpostgres.Start(t)
	conn := connect(t, server)
	name := role(t, conn, "gateway")
	_, err := Open(t.Context(), Options{DSN: server.DSNOf(name, "")})
	if err == nil || !strings.Contains(err.Error(), "42501") || !strings.Contains(err.Error(), "USAGE on the schema") {
		t.Fatalf("without a schema: error %v, want one that says what is needed", err)
	}
	exec(t, conn, "CREATE SCHEMA mcp_oauth AUTHORIZATION postgres; GRANT USAGE, CREATE ON SCHEMA mcp_oauth TO "+name)
	everyVerb(t, openWith(t, Options{DSN: server.DSNOf(name, "")}))
	openWith(t, Options{DSN: server.DSNOf(name, ""), Schema: "mcp_oauth"}) // the next start finds all of it
}

// A stricter one makes the tables, too, by starting the gateway once as their
// owner. The role that serves may read and write rows.
func TestRoleThatMayWriteRowsOnly(t *testing.T) {
	t.Parallel()
	server := testpostgres.Start(t)
	conn := connect(t, server)
	ok(t, openWith(t, Options{DSN: server.DSN()}).Close())
	name := role(t, conn, "gateway")
	exec(t, conn, "GRANT USAGE ON SCHEMA mcp_oauth TO "+name)
	_, err := Open(t.Context(), Options{DSN: server.DSNOf(name, "")})
	if err == nil || !strings.Contains(err.Error(), "SELECT, INSERT, UPDATE and DELETE") {
		t.Fatalf("without rights to the tables: error %v, want one that says what is needed", err)
	}
	exec(t, conn, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA mcp_oauth TO "+name)
	s := openWith(t, Options{DSN: server.DSNOf(name, "")})
	everyVerb(t, s)
	// Rights that are taken away while it runs are a failure, not an answer.
	exec(t, conn, "REVOKE SELECT ON mcp_oauth.grants FROM "+name)
	if _, err := s.Grant(context.WithoutCancel(t.Context()), issuer, "grant"); err == nil || errors.Is(err, storage.ErrNotFound) {
		t.Fatalf("error %v, want a failure", err)
	}
}
