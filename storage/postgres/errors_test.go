// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testpostgres"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// What the server and the driver say may quote the statement's values: grants,
// sealed tokens, the hash of a secret. Errors end in logs.
func TestErrorsQuoteNothing(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err  error
		want string // a word that helps the operator
	}{
		"a violated constraint": {&pgconn.PgError{
			Code: "23514", Message: `new row violates "s3cret"`, Detail: "Failing row contains (s3cret)", Where: "s3cret", InternalQuery: "s3cret",
		}, "23514"},
		"a value that does not fit": {&pgconn.PgError{Code: "22P02", Message: `invalid input syntax for type bytea: "s3cret"`}, "22P02"},
		"a syntax error":            {&pgconn.PgError{Code: "42601", Message: `syntax error at or near "s3cret"`}, "42601"},
		"a detail":                  {&pgconn.PgError{Code: "53300", Message: "too many clients already", Detail: "s3cret", Hint: "s3cret"}, "too many clients"},
		"a full disk":               {&pgconn.PgError{Code: "53100", Message: "could not extend file: No space left on device"}, "No space left"},
		"no permission":             {&pgconn.PgError{Code: "42501", Message: "permission denied for table grants"}, "table grants"},
		"a dropped table":           {&pgconn.PgError{Code: "42P01", Message: `relation "mcp_oauth.grants" does not exist`}, "dropped"},
		"a pooler":                  {&pgconn.PgError{Code: "26000", Message: `prepared statement "stmtcache_1" does not exist`}, "default_query_exec_mode=exec"},
		"another pooler":            {&pgconn.PgError{Code: "42P05", Message: `prepared statement "stmtcache_1" already exists`}, "default_query_exec_mode=exec"},
		"an argument":               {fmt.Errorf("failed to encode args[0]: unable to encode %q into text", "s3cret"), "unexpected"},
		"a scan":                    {pgx.ScanArgError{ColumnIndex: 1, Err: errors.New("cannot scan s3cret")}, "unexpected"},
		"an unread string":          {pgconn.NewParseConfigError("host=x password=s3cret", "failed", nil), "unexpected"},
		"a lost connection":         {fmt.Errorf("write failed: %w", &net.OpError{Op: "write", Net: "tcp", Err: errors.New("broken pipe")}), "broken pipe"},
		"the end of a connection":   {fmt.Errorf("s3cret: %w", io.ErrUnexpectedEOF), "connection lost"},
	} {
		err := explain(t.Context(), "read grant", tc.err)
		text := fmt.Sprintf("%v %+v %#v", err, err, errors.Unwrap(err))
		if strings.Contains(text, "s3cret") {
			t.Errorf("%s: %s", name, text)
		}
		if !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "read grant: ") {
			t.Errorf("%s: error %q does not say %q", name, err, tc.want)
		}
		if isAnswer(err) {
			t.Errorf("%s became an answer: %v", name, err)
		}
		var server *pgconn.PgError
		if errors.As(err, &server) {
			t.Errorf("%s: the server's error can be unwrapped, with its details", name)
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, answer := range []error{
		nil, storage.ErrNotFound, storage.ErrExists, storage.ErrChanged, storage.ErrReplay, storage.ErrReuse, storage.ErrFull, storage.ErrMissed, storage.ErrNotEmpty,
	} {
		if got := explain(ctx, "verb", answer); got != answer { //nolint:errorlint // as it is
			t.Errorf("%v became %v", answer, got)
		}
	}
	wantErr(t, explain(ctx, "verb", pgx.ErrNoRows), storage.ErrNotFound)
	wantErr(t, explain(ctx, "verb", puddle.ErrClosedPool), storage.ErrClosed)
	wantErr(t, explain(ctx, "verb", fmt.Errorf("grants: %w", storage.ErrFormat)), storage.ErrFormat)
	done, cancel := context.WithCancel(ctx)
	cancel()
	wantErr(t, explain(done, "verb", errors.New("whatever the driver says")), context.Canceled)
	wantErr(t, explain(done, "verb", storage.ErrNotFound), storage.ErrNotFound)
}

// What is tried again must not have happened.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	server := func(code, severity string) error { return &pgconn.PgError{Code: code, SeverityUnlocalized: severity} }
	broken := &net.OpError{Op: "read", Err: errors.New("reset")}
	for _, tc := range []struct {
		err     error
		reading outcome // nothing can have happened
		acting  outcome // something may have
	}{
		{server(codeDeadlock, "ERROR"), undone, undone},
		{server(codeSerialization, "ERROR"), undone, undone},
		{server(codeReadOnly, "ERROR"), undone, undone},
		{server(codeUniqueViolation, "ERROR"), undone, undone},
		{server("57P01", "FATAL"), undone, settled},
		{server("57014", "ERROR"), settled, settled},
		{server("53100", "ERROR"), settled, settled},
		{server("42501", "ERROR"), settled, settled},
		{broken, undone, settled},
		{io.ErrUnexpectedEOF, undone, settled},
		{errors.New("anything"), settled, settled},
		{storage.ErrFormat, settled, settled},
	} {
		if got := outcomeOf(tc.err, false); got != tc.reading {
			t.Errorf("%v before anything can have happened: %v, want %v", tc.err, got, tc.reading)
		}
		if got := outcomeOf(tc.err, true); got != tc.acting {
			t.Errorf("%v after something may have happened: %v, want %v", tc.err, got, tc.acting)
		}
	}
}

// A record that cannot be read is a failure wherever an answer hangs on it, and is
// left out of lists; it is never taken for one that is not there.
func TestUnreadableRecords(t *testing.T) {
	t.Parallel()
	s := open(t)
	conn := connect(t, testpostgres.Shared(t))
	live(t, s, "good")
	live(t, s, "bad")
	ok(t, s.SaveAccount(t.Context(), storagetest.NewAccount("1", time.Now())))
	exec(t, conn, "UPDATE "+in(s, "grants")+" SET data = '\\x02'||data WHERE key = $1", keyOf(issuer, "bad"))
	exec(t, conn, "UPDATE "+in(s, "accounts")+" SET data = 's3cret'")
	for name, verb := range map[string]func() error{
		"read":   func() error { _, err := s.Grant(t.Context(), issuer, "bad"); return err },
		"redeem": func() error { _, err := s.RedeemCode(t.Context(), issuer, "bad", storage.Redemption{}); return err },
		"rotate": func() error { _, err := s.RotateRefresh(t.Context(), issuer, "bad", storage.Rotation{}); return err },
		"save":   func() error { return s.SaveAccount(t.Context(), storagetest.NewAccount("1", time.Now())) },
		"export": func() error {
			for _, err := range s.Export(t.Context()) {
				if err != nil {
					return err
				}
			}
			return nil
		},
	} {
		err := verb()
		if !errors.Is(err, storage.ErrFormat) {
			t.Errorf("%s: %v, want %v", name, err, storage.ErrFormat)
		}
		wantNoSecret(t, err)
	}
	grants, err := s.GrantsOf(t.Context(), "github:583231")
	ok(t, err)
	if len(grants) != 1 || grants[0].ID != "good" {
		t.Errorf("grants %v", grants)
	}
	page, next, err := s.Accounts(t.Context(), "", 10)
	if len(page) != 0 || next != "" || err != nil {
		t.Errorf("page %v, %q, %v", page, next, err)
	}
	// Ending it works, readable or not.
	ok(t, s.RevokeGrant(t.Context(), issuer, "bad"))
	_, err = s.Grant(t.Context(), issuer, "bad")
	wantErr(t, err, storage.ErrNotFound)
}

// Somebody with access to the database copies their own grant over another one's
// row, or a session of one site over one of another. The record says whose it is.
func TestRecordsUnderForeignKeys(t *testing.T) {
	t.Parallel()
	s := open(t)
	conn := connect(t, testpostgres.Shared(t))
	live(t, s, "mallory")
	live(t, s, "victim")
	exec(t, conn, fmt.Sprintf("UPDATE %[1]s SET data = (SELECT data FROM %[1]s WHERE key = $1) WHERE key = $2", in(s, "grants")),
		keyOf(issuer, "mallory"), keyOf(issuer, "victim"))
	_, err := s.Grant(t.Context(), issuer, "victim")
	wantErr(t, err, errForeign)
	_, err = s.RotateRefresh(t.Context(), issuer, "victim", rotation(storagetest.NewRedemption("mallory").Refresh, storage.Hash{1}))
	wantErr(t, err, errForeign)
	g, err := s.Grant(t.Context(), issuer, "mallory")
	ok(t, err)
	if g.ID != "mallory" {
		t.Errorf("grant %s", g.ID)
	}
}

// A newer version wrote fields that this one does not know. Going back one version
// and forth again must not lose them.
func TestUnknownFieldsAreKept(t *testing.T) {
	t.Parallel()
	s := open(t)
	conn := connect(t, testpostgres.Shared(t))
	live(t, s, "grant")
	ok(t, s.SaveAccount(t.Context(), storagetest.NewAccount("1", time.Now())))
	for _, table := range []string{"grants", "accounts"} {
		exec(t, conn, "UPDATE "+in(s, table)+` SET data = overlay(data PLACING '\x017b22667574757265223a226b657074222c'::bytea FROM 1 FOR 2)`)
	}
	_, err := s.RotateRefresh(t.Context(), issuer, "grant", rotation(storagetest.NewRedemption("grant").Refresh, storage.Hash{1}))
	ok(t, err)
	ok(t, s.SaveAccount(t.Context(), storagetest.NewAccount("1", time.Now())))
	for _, table := range []string{"grants", "accounts"} {
		if n := number(t, conn, "SELECT count(*) FROM "+in(s, table)+` WHERE convert_from(data, 'UTF8') LIKE '%"future":"kept"%'`); n != 1 {
			t.Errorf("%s: the field of a newer version is gone", table)
		}
	}
}

// Without a clock of its own the store goes by the server's, whatever its own
// machine believes.
func TestTimeIsTheServers(t *testing.T) {
	t.Parallel()
	s := open(t)
	conn := connect(t, testpostgres.Shared(t))
	var before, after time.Time
	ok(t, conn.QueryRow(t.Context(), timeSQL).Scan(&before))
	live(t, s, "grant")
	ok(t, conn.QueryRow(t.Context(), timeSQL).Scan(&after))
	g, err := s.Grant(t.Context(), issuer, "grant")
	ok(t, err)
	if at := g.Code.RedeemedAt; at.Before(before) || at.After(after) || at.Location() != time.UTC {
		t.Errorf("redeemed at %v, want between %v and %v", at, before, after)
	}
	short := storagetest.NewSession(issuer, "cookie", time.Now())
	short.ExpiresAt = time.Now().Add(50 * time.Millisecond)
	ok(t, s.CreateSession(t.Context(), short))
	eventually(t, "it ends", func() bool {
		_, err := s.Session(t.Context(), issuer, short.ID)
		return errors.Is(err, storage.ErrNotFound)
	})
	ok(t, s.CreateSession(t.Context(), short)) // the id is free again
	n, err := s.Sweep(t.Context())
	if n != 1 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
}
