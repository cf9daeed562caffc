// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// known are the migrations of this version, the text of number n at index n-1.
func known() []string {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	texts := make([]string, len(names))
	for i, name := range names { // sorted
		text, err := migrationFiles.ReadFile(name)
		if err != nil {
			panic(err) // it is part of the program
		}
		texts[i] = string(text)
	}
	return texts
}

// ErrNewer: a newer version of this software changed the schema.
var ErrNewer = errors.New("a newer version of this software changed the schema, and this one might damage it; " +
	"start the newer version, or restore a backup from before")

// migrate brings the schema to the version that this software knows. Any number of
// gateways may do so at once. All of it happens in one transaction: after an error
// the schema is what it was.
func migrate(ctx context.Context, conn *pgx.Conn, schema string, texts []string) error {
	version, err := schemaVersion(ctx, conn, schema)
	if err != nil {
		return err
	}
	// The usual start: nothing to do, and the role need not be allowed to.
	if done, err := upToDate(version, len(texts)); done || err != nil {
		return err
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite})
	if err != nil {
		return err
	}
	err = migrateIn(ctx, tx, schema, texts)
	if err == nil {
		return tx.Commit(ctx)
	}
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	_ = tx.Rollback(undo) // or the server does, when the connection closes
	return err
}

func upToDate(version, newest int) (bool, error) {
	if version > newest {
		return false, fmt.Errorf("the schema has version %d, this software knows %d: %w", version, newest, ErrNewer)
	}
	return version == newest, nil
}

func migrateIn(ctx context.Context, tx pgx.Tx, schema string, texts []string) error {
	if err := apply(ctx, tx, patienceSQL); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", lockNumber(schema)); err != nil {
		return err
	}
	// Whoever held the lock before may have done it all.
	version, err := schemaVersion(ctx, tx, schema)
	if err != nil {
		return err
	}
	if done, err := upToDate(version, len(texts)); done || err != nil {
		return err
	}
	if err := createSchema(ctx, tx, schema); err != nil {
		return err
	}
	for i := version; i < len(texts); i++ {
		if err := apply(ctx, tx, texts[i]); err != nil {
			return advise("migration %d: %v", i+1, clean(err))
		}
	}
	_, err = tx.Exec(ctx, "INSERT INTO schema_version (version) VALUES ($1)", len(texts))
	return err
}

// createSchema makes the schema with the table of its versions if they are not
// there, and lets the migrations that follow name tables without it. It is looked
// for first, because CREATE … IF NOT EXISTS asks for a privilege in either case.
func createSchema(ctx context.Context, tx pgx.Tx, schema string) error {
	name := pgx.Identifier{schema}.Sanitize()
	var there bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)", schema).Scan(&there); err != nil {
		return err
	}
	if !there {
		if err := apply(ctx, tx, "CREATE SCHEMA "+name); err != nil {
			return err
		}
	}
	return apply(ctx, tx, "SET LOCAL search_path = "+name+";\n"+
		"CREATE TABLE IF NOT EXISTS schema_version (version int PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())")
}

// apply runs statements without arguments.
func apply(ctx context.Context, tx pgx.Tx, sql string) error {
	_, err := tx.Conn().PgConn().Exec(ctx, sql).ReadAll()
	return err
}

type queryer interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// schemaVersion is 0 where there is no schema yet.
func schemaVersion(ctx context.Context, q queryer, schema string) (version int, err error) {
	const exists = `SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = 'schema_version')`
	var there bool
	if err := q.QueryRow(ctx, exists, schema).Scan(&there); err != nil || !there {
		return 0, err
	}
	err = q.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM "+pgx.Identifier{schema, "schema_version"}.Sanitize()).Scan(&version)
	return version, err
}

// lockNumber is the advisory lock of a schema. Those of a database are shared by
// all its users, so it is drawn from a large space.
func lockNumber(schema string) int64 {
	sum := sha256.Sum256([]byte("caddy-mcp-oauth migration of " + schema))
	return int64(binary.BigEndian.Uint64(sum[:]))
}
