// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testpostgres"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// The database is away for a while, in the middle of everything. Verbs fail and
// say nothing about records; as soon as it is back they work, without a restart.
func TestOutageHeals(t *testing.T) {
	t.Parallel()
	server := testpostgres.Start(t)
	s := openWith(t, Options{DSN: server.DSN(), MaxConnections: 4})
	live(t, s, "grant")
	for _, stop := range []func(testing.TB){server.Stop, server.Kill} {
		allOK(t, atOnce(8, func(int) error { _, err := s.Grant(t.Context(), issuer, "grant"); return err })) // fills the pool
		stop(t)
		for _, err := range atOnce(8, func(int) error { _, err := s.Grant(t.Context(), issuer, "grant"); return err }) {
			if err == nil || isAnswer(err) {
				t.Fatalf("during the outage: %v", err)
			}
		}
		began := time.Now()
		if err := s.RevokeGrant(t.Context(), issuer, "grant"); err == nil || isAnswer(err) {
			t.Fatalf("during the outage: %v", err)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("it took %v to say so", took)
		}
		server.Restart(t)
		_, err := s.Grant(t.Context(), issuer, "grant")
		ok(t, err)
	}
}

// The server is restarted between two requests. The connections of the pool are
// dead, and nobody has to notice.
func TestRestartBetweenVerbs(t *testing.T) {
	t.Parallel()
	server := testpostgres.Start(t)
	s := openWith(t, Options{DSN: server.DSN(), MaxConnections: 4})
	live(t, s, "grant")
	allOK(t, atOnce(16, func(int) error { _, err := s.Grant(t.Context(), issuer, "grant"); return err }))
	server.Stop(t)
	server.Restart(t)
	allOK(t, atOnce(16, func(i int) error {
		switch i % 4 {
		case 0:
			_, err := s.Grant(t.Context(), issuer, "grant")
			return err
		case 1:
			return s.SaveAccount(t.Context(), storagetest.NewAccount(fmt.Sprint(i), time.Now()))
		case 2:
			return s.SaveConsent(t.Context(), storagetest.NewConsent(issuer, fmt.Sprint(i), "github:1", time.Now()))
		}
		return s.DeleteSessions(t.Context(), "github:1")
	}))
}

func TestOpenWithoutAServer(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("unix", t.TempDir()+"/.s.PGSQL.5432")
	ok(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	for name, dsn := range map[string]string{
		"nobody there":   "postgres://gateway:s3cret@127.0.0.1:1/db?sslmode=disable",
		"no such socket": "host=/nowhere user=gateway password=s3cret",
		"says nothing":   "host=" + strings.TrimSuffix(silent.Addr().String(), "/.s.PGSQL.5432") + " user=gateway password=s3cret connect_timeout=1",
		"several":        "postgres://gateway:s3cret@127.0.0.1:1,127.0.0.1:2/db",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			_, err := Open(t.Context(), Options{DSN: dsn})
			if err == nil || time.Since(began) > 30*time.Second {
				t.Fatalf("error %v after %v", err, time.Since(began))
			}
			wantNoSecret(t, err)
			if !strings.Contains(err.Error(), "cannot connect") {
				t.Errorf("error %q does not say that there is no connection", err)
			}
		})
	}
	t.Run("the caller's time is up", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := Open(ctx, Options{DSN: "host=" + strings.TrimSuffix(silent.Addr().String(), "/.s.PGSQL.5432") + " user=gateway password=s3cret"})
		if err == nil {
			t.Fatal("no error")
		}
		wantNoSecret(t, err)
	})
}

func wantNoSecret(t *testing.T, err error) {
	t.Helper()
	for _, text := range []string{fmt.Sprint(err), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", errors.Unwrap(err))} {
		if strings.Contains(text, "s3cret") {
			t.Errorf("the secret is in %q", text)
		}
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	server := testpostgres.Start(t)
	admin := connect(t, server)
	exec(t, admin, "CREATE ROLE "+testpostgres.PasswordRole+" LOGIN SUPERUSER PASSWORD 'first s3cret'")
	_, err := Open(t.Context(), Options{DSN: server.DSNOf(testpostgres.PasswordRole, "wrong s3cret")})
	if err == nil || !strings.Contains(err.Error(), "28P01") {
		t.Fatalf("error %v, want one about authentication", err)
	}
	wantNoSecret(t, err)
	openWith(t, Options{DSN: server.DSNOf(testpostgres.PasswordRole, "first s3cret")})

	// The password changes while the gateway runs, as a secrets manager does it.
	password := atomic.Value{}
	password.Store("first s3cret")
	s := openWith(t, Options{
		DSN: server.DSNOf(testpostgres.PasswordRole, "ignored"), MaxConnections: 2,
		Password: func() (string, error) { return password.Load().(string), nil },
	})
	exec(t, admin, "ALTER ROLE "+testpostgres.PasswordRole+" PASSWORD 'second s3cret'")
	s.pool.Reset()
	_, err = s.Grant(t.Context(), issuer, "grant")
	if err == nil || isAnswer(err) {
		t.Fatalf("with the old password: %v", err)
	}
	wantNoSecret(t, err)
	password.Store("second s3cret")
	live(t, s, "grant")

	_, err = Open(t.Context(), Options{DSN: server.DSN(), Password: func() (string, error) { return "", errors.New("the file is gone") }})
	if err == nil || !strings.Contains(err.Error(), "the file is gone") {
		t.Errorf("error %v, want why there is no password", err)
	}
}
