// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// minVersion is the oldest server this package was written for: 13. It is what
// server_version_num says.
const minVersion = 130000

// ErrReadOnly: the server takes no writes, because it is a standby or because the
// role or the database is set to read-only transactions.
var ErrReadOnly = errors.New("the server is read-only: a hot standby, or default_transaction_read_only is set; " +
	"connect to the primary (several hosts in the connection string are tried in turn)")

// wantWritable refuses connections to a standby. After a failover a name may
// still lead to the old primary for a while, and with several hosts the next one
// is tried.
func wantWritable(further pgconn.ValidateConnectFunc) pgconn.ValidateConnectFunc {
	return func(ctx context.Context, conn *pgconn.PgConn) error {
		if further != nil {
			if err := further(ctx, conn); err != nil {
				return err
			}
		}
		results, err := conn.Exec(ctx, "SHOW transaction_read_only").ReadAll()
		if err != nil {
			return err
		}
		if len(results) == 1 && len(results[0].Rows) == 1 && string(results[0].Rows[0][0]) == "off" {
			return nil
		}
		return ErrReadOnly
	}
}

// settings that Open looks at.
type settings struct {
	version                       int
	versionText                   string
	fsync, fullPages, synchronous string
}

func readSettings(ctx context.Context, conn *pgx.Conn) (settings, error) {
	var s settings
	row := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_version'),
		current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')`)
	err := row.Scan(&s.version, &s.versionText, &s.fsync, &s.fullPages, &s.synchronous)
	return s, err
}

// checkServer refuses servers that are too old, and warns of settings with which
// the server may forget what it acknowledged.
func checkServer(ctx context.Context, conn *pgx.Conn, log *slog.Logger) error {
	s, err := readSettings(ctx, conn)
	if err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	s.warn(log)
	return nil
}

func (s settings) check() error {
	if s.version < minVersion {
		return advise("PostgreSQL %s is too old: %d or newer is needed", s.versionText, minVersion/10000)
	}
	return nil
}

func (s settings) warn(log *slog.Logger) {
	const risk = "state that was acknowledged may be lost when the database server crashes: codes and refresh tokens that were used " +
		"could be used again, users could be signed out, revoked grants could come back"
	if s.synchronous == "off" {
		log.Warn("PostgreSQL has synchronous_commit off for this role or server; "+risk, "setting", "synchronous_commit")
	}
	if s.fsync != "on" {
		log.Warn("PostgreSQL has fsync off; the database may be damaged, and "+risk, "setting", "fsync")
	}
	if s.fullPages != "on" {
		log.Warn("PostgreSQL has full_page_writes off, which is safe on few file systems only; the database may be damaged, and "+risk,
			"setting", "full_page_writes")
	}
}
