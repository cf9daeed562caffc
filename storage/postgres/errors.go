// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// SQLSTATE codes that mean something to this package.
const (
	codeUniqueViolation = "23505"
	codeReadOnly        = "25006"
	codeSerialization   = "40001"
	codeDeadlock        = "40P01"
	codeNoPermission    = "42501"
	codeUndefinedTable  = "42P01"
	codeUndefinedSchema = "3F000"
	codeUndefinedColumn = "42703"
	codeNoStatement     = "26000"
	codeStatementExists = "42P05"
)

// outcome is what is known of an attempt that failed.
type outcome int

const (
	// settled: another attempt is not called for, because it succeeded, because
	// the answer would be the same, or because the outcome is unknown.
	settled outcome = iota
	// undone: nothing happened, and another attempt may fare better.
	undone
)

// outcomeOf says what is known after an error of a statement of this transaction.
func (w *tx) outcomeOf(err error) outcome { return outcomeOf(err, w.committing) }

// outcomeOf says what is known after an error. mayHaveActed: if the connection was
// lost, what was asked for may have happened.
func outcomeOf(err error, mayHaveActed bool) outcome {
	var server *pgconn.PgError
	switch {
	case errors.As(err, &server):
		switch server.Code {
		case codeSerialization, codeDeadlock, codeUniqueViolation, codeReadOnly:
			return undone // also of a commit: the server says that it did not happen
		}
		// The server ends sessions (class 57 among others) in order, but also while
		// a commit waits for a standby.
		if server.SeverityUnlocalized == "FATAL" && !mayHaveActed {
			return undone
		}
		return settled
	case pgconn.SafeToRetry(err):
		return undone
	case lost(err) && !mayHaveActed:
		return undone
	}
	return settled
}

// lost reports whether the connection broke.
func lost(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// demoted reports whether the server became a standby.
func demoted(err error) bool {
	var server *pgconn.PgError
	return errors.As(err, &server) && server.Code == codeReadOnly
}

// isAnswer reports whether err is an answer about the record and not a failure.
func isAnswer(err error) bool {
	switch err { //nolint:errorlint // only the bare values are answers, see write
	case storage.ErrNotFound, storage.ErrExists, storage.ErrChanged, storage.ErrReplay, storage.ErrReuse, storage.ErrFull,
		storage.ErrMissed, storage.ErrNotEmpty:
		return true
	}
	return false
}

// explain names the step that failed. What it meets is either of the contract or
// a failure of the database.
func explain(ctx context.Context, verb string, err error) error {
	switch {
	case err == nil || isAnswer(err):
		return err
	case errors.Is(err, pgx.ErrNoRows):
		return storage.ErrNotFound
	case errors.Is(err, puddle.ErrClosedPool), errors.Is(err, storage.ErrClosed):
		err = storage.ErrClosed
	case ctx.Err() != nil:
		// The driver words it in several ways, and not all of them say which.
		err = ctx.Err()
	}
	return fmt.Errorf("%s: %w", verb, clean(err))
}

// advice is an error worded by this package: it repeats nothing that came from
// elsewhere.
type advice string

func (a advice) Error() string { return string(a) }

func advise(format string, args ...any) error { return advice(fmt.Sprintf(format, args...)) }

// clean returns an error that repeats neither a password nor anything of a record.
// What the driver and the server say may quote the values of a statement.
func clean(err error) error {
	var (
		server  *pgconn.PgError
		connect *pgconn.ConnectError
		network *net.OpError
	)
	switch {
	case err == nil || ours(err):
		return err
	case errors.Is(err, ErrReadOnly):
		return ErrReadOnly
	case errors.As(err, &server):
		return serverError(server, errors.As(err, &connect))
	case errors.As(err, &connect):
		text := strings.ReplaceAll(rootOf(err).Error(), "\n", "; ")
		return advise("cannot connect to %s:%d: %s", connect.Config.Host, connect.Config.Port, text)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &network):
		return fmt.Errorf("connection lost: %w", network)
	case lost(err), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("connection lost: %w", rootOf(err))
	}
	return fmt.Errorf("unexpected error of type %T", rootOf(err))
}

// ours reports whether an error was worded by this project and not by the driver.
func ours(err error) bool {
	var own advice
	if errors.As(err, &own) {
		return true
	}
	for _, known := range []error{storage.ErrFormat, storage.ErrClosed, storage.ErrNotEmpty, errForeign, ErrNewer} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

func rootOf(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// serverError says what the server said, as far as it is about the server. The
// classes it leaves out quote values: data exceptions, violated constraints.
func serverError(e *pgconn.PgError, connecting bool) error {
	text := fmt.Sprintf("PostgreSQL error %s", e.Code)
	if quotesNothing(e.Code) {
		text = fmt.Sprintf("%s: %s", text, e.Message)
	}
	switch e.Code {
	case codeNoPermission:
		text += "; the role needs USAGE on the schema and SELECT, INSERT, UPDATE and DELETE on all tables in it, " +
			"and CREATE on the schema for creating and updating them"
	case codeUniqueViolation:
		text += ": there is a record with this key already"
	case codeUndefinedTable, codeUndefinedSchema, codeUndefinedColumn:
		text += "; was the schema dropped or changed while the server ran? It is made anew at the next start"
	}
	if e.Code == codeNoStatement || e.Code == codeStatementExists {
		text += "; behind a pooler that works per transaction the connection string needs default_query_exec_mode=exec"
	}
	if connecting {
		text = "cannot connect: " + text
	}
	return advice(text)
}

func quotesNothing(code string) bool {
	for _, class := range []string{"08", "25", "26", "28", "3D", "3F", "40", "53", "55", "57", "58"} {
		if strings.HasPrefix(code, class) {
			return true
		}
	}
	return code == codeNoPermission || code == codeStatementExists || code == codeUndefinedTable || code == codeUndefinedColumn
}
