// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testredis"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// warningsOf opens a store and returns what it warned of.
func warningsOf(t *testing.T, o Options) string {
	t.Helper()
	var log journal
	o.Logger = log.logger()
	openWith(t, o)
	return log.String()
}

func TestARealServerIsAudited(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		options []testredis.Option
		want    []string
	}{
		"safe":       {[]testredis.Option{testredis.AppendOnly("always")}, nil},
		"everysec":   {[]testredis.Option{testredis.AppendOnly("everysec")}, []string{warnFsync}},
		"volatile":   {nil, []string{warnVolatile}},
		"snapshots":  {[]testredis.Option{testredis.Set("save", "3600 1")}, []string{warnSnapshots}},
		"eviction":   {[]testredis.Option{testredis.AppendOnly("always"), testredis.Set("maxmemory-policy", "allkeys-lru")}, []string{warnEvicts}},
		"a cluster":  {[]testredis.Option{testredis.AppendOnly("always"), testredis.Cluster()}, []string{warnAsync}},
		"everything": {[]testredis.Option{testredis.Set("maxmemory-policy", "allkeys-random")}, []string{warnEvicts, warnVolatile}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testredis.Start(t, tc.options...)
			got := warningsOf(t, Options{Addresses: []string{server.Addr()}, Cluster: name == "a cluster"})
			wantText(t, got, tc.want...)
			if n := strings.Count(got, "level=WARN"); n != len(tc.want) {
				t.Errorf("%d warnings, want %d:\n%s", n, len(tc.want), got)
			}
		})
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		o    Options
		want string
	}{
		"no address":              {Options{}, "no address"},
		"a hostile prefix":        {Options{Addresses: []string{"x"}, Prefix: "a}b"}, "prefix"},
		"a database of a cluster": {Options{Addresses: []string{"x", "y"}, DB: 1}, "only database 0"},
		"a database below zero":   {Options{Addresses: []string{"x"}, DB: -1}, "database -1"},
		"a watched cluster":       {Options{Addresses: []string{"x"}, Cluster: true, SentinelMaster: "m"}, "either"},
		"a wait without end":      {Options{Addresses: []string{"x"}, Wait: Wait{Replicas: 1, Timeout: time.Hour}}, "timeout"},
		"a wait below one":        {Options{Addresses: []string{"x"}, Wait: Wait{Replicas: 1, Timeout: time.Microsecond}}, "timeout"},
		"less than no replica":    {Options{Addresses: []string{"x"}, Wait: Wait{Replicas: -1}}, "-1 replicas"},
	} {
		wantText(t, name+": "+openError(t, tc.o).Error(), tc.want)
	}
}

// Nobody answers. The operator learns where, and that within bounds.
func TestNoServerFailsTheStart(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	addr := l.Addr().String()
	ok(t, l.Close())
	begin := time.Now()
	err = openError(t, Options{Addresses: []string{addr}, Password: "s3cret", StartTimeout: 300 * time.Millisecond})
	wantText(t, err.Error(), addr, "no answer within 300ms", "connection refused")
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v tells the password", err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

// All machines boot together, and the database is the last to come up.
func TestAServerThatComesLate(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t)
	server.Stop()
	opened := make(chan error, 1)
	go func() {
		s, err := Open(context.Background(), Options{Addresses: []string{server.Addr()}, StartTimeout: 30 * time.Second})
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	time.Sleep(300 * time.Millisecond) // so that it has tried and failed
	server.Restart()
	ok(t, <-opened)
}

// After a restart a server answers, but refuses all until it has read its data.
func TestAServerThatIsLoading(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t, testredis.Set("key-load-delay", "1500"), testredis.Set("loading-process-events-interval-bytes", "1024"), testredis.Eager())
	server.WaitLog("Ready to accept connections")
	server.Do("EVAL", "for i = 1, 2000 do redis.call('SET', KEYS[1] .. i, string.rep('x', 100)) end", "1", "theirs")
	server.Do("SAVE")
	server.Kill()
	server.Restart()
	server.WaitLog("Loading RDB")
	var log journal
	s := openWith(t, Options{Addresses: []string{server.Addr()}, Logger: log.logger(), StartTimeout: 30 * time.Second})
	ok(t, s.CreateGrant(t.Context(), storagetest.NewGrant(issuer, "grant", nowOf(s))))
}

func TestForeignKeysAreLeftAlone(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t)
	for name, tc := range map[string]struct {
		spoil func(base string)
		want  []string
	}{
		"another type":   {func(base string) { server.Do("SET", base+"meta", "theirs") }, []string{"string of another program", "another prefix"}},
		"another hash":   {func(base string) { server.Do("HSET", base+"meta", "a", "b") }, []string{"no format"}},
		"a newer format": {func(base string) { server.Do("HSET", base+"meta", "format", "2") }, []string{`format "2"`, "reads 1"}},
		"no format":      {func(base string) { server.Do("ZADD", base+"ends:grant", "1", "x") }, []string{"no format", "noeviction"}},
	} {
		t.Run(name, func(t *testing.T) {
			prefix := testredis.Prefix()
			tc.spoil("{" + prefix + "}:")
			before := server.Do("DUMP", "{"+prefix+"}:meta")
			err := openError(t, Options{Addresses: []string{server.Addr()}, Prefix: prefix})
			wantErr(t, err, ErrForeign)
			wantText(t, err.Error(), tc.want...)
			if after := server.Do("DUMP", "{"+prefix+"}:meta"); after != before {
				t.Error("it was changed")
			}
		})
	}
}

// Another gateway was upgraded and brought the database up to date. This one must not
// write what that one does not understand.
func TestANewerFormatMeanwhile(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	ok(t, s.client.HSet(t.Context(), s.meta, "format", "2").Err())
	err := s.CreateGrant(t.Context(), storagetest.NewGrant(issuer, "grant", nowOf(s)))
	wantErr(t, err, ErrForeign)
	wantErr(t, s.RevokeGrant(t.Context(), issuer, "grant"), ErrForeign)
	if n := count(t, s); n != 0 {
		t.Errorf("%d keys were written", n)
	}
}

func TestAReplicaIsRefused(t *testing.T) {
	t.Parallel()
	replica := testredis.Start(t, testredis.ReplicaOf(testredis.Start(t)))
	err := openError(t, Options{Addresses: []string{replica.Addr()}})
	wantText(t, err.Error(), "READONLY", "address of the primary")
}

func TestASingleNodeOfACluster(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t, testredis.Cluster())
	s := openWith(t, Options{Addresses: []string{server.Addr()}}) // it has all slots
	createLive(t, s, "grant")
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t)
	server.Do("ACL", "SETUSER", "gateway", "on", ">s3cret", "+@all", "~*", "&*")
	server.Do("CONFIG", "SET", "requirepass", "s3cret")
	for name, tc := range map[string]struct {
		user, password, want string
	}{
		"none":         {"", "", "wants a password"},
		"wrong":        {"", "s3cret but wrong", "are wrong"},
		"wrong user":   {"nobody", "s3cret", "are wrong"},
		"right":        {"", "s3cret", ""},
		"right of ACL": {"gateway", "s3cret", ""},
	} {
		o := Options{Addresses: []string{server.Addr()}, Username: tc.user, Password: tc.password, StartTimeout: time.Minute}
		if tc.want == "" {
			openWith(t, o)
			continue
		}
		begin := time.Now()
		err := openError(t, o)
		wantText(t, name+": "+err.Error(), tc.want)
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v tells the password", err)
		}
		if time.Since(begin) > 30*time.Second {
			t.Errorf("%s: it was tried again", name)
		}
	}
}

// An operator exchanges the password of the server and reloads the configuration. What
// connects from then on uses the new one.
func TestAPasswordThatChanges(t *testing.T) {
	t.Parallel()
	for name, option := range map[string][]testredis.Option{"alone": nil, "cluster": {testredis.Cluster()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testredis.Start(t, option...)
			server.Do("ACL", "SETUSER", "gateway", "on", ">old", "+@all", "~*")
			s := openWith(t, Options{Addresses: []string{server.Addr()}, Cluster: option != nil, Username: "gateway", Password: "old"})
			createLive(t, s, "grant")
			server.Do("ACL", "SETUSER", "gateway", "resetpass", ">new")
			server.Do("CLIENT", "KILL", "USER", "gateway")
			if _, err := s.Grant(t.Context(), issuer, "grant"); err == nil || outcome(err) {
				t.Errorf("with the old password: %v", err)
			}
			s.SetCredentials("gateway", "new")
			eventually(t, func() error { _, err := s.Grant(t.Context(), issuer, "grant"); return err })
		})
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t, testredis.TLS(t))
	cert, err := os.ReadFile(server.CA())
	ok(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	good := &tls.Config{RootCAs: pool, ServerName: "redis.test", MinVersion: tls.VersionTLS12}
	s := openWith(t, Options{Addresses: []string{server.Addr()}, TLS: good})
	createLive(t, s, "grant")

	for name, tc := range map[string]*tls.Config{
		"an unknown authority": {MinVersion: tls.VersionTLS12},
		"another name":         {RootCAs: pool, ServerName: "evil.test", MinVersion: tls.VersionTLS12},
		"in the clear":         nil,
	} {
		patience := 20 * time.Second // for what is refused at once
		if tc == nil {
			patience = time.Second
		}
		err := openError(t, Options{Addresses: []string{server.Addr()}, TLS: tc, StartTimeout: patience})
		if tc != nil && !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The pool is full of connections that are dead after a restart, and TLS hides that until
// they are used. What only reads finds a live one.
func TestTLSAfterARestart(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t, testredis.TLS(t), testredis.AppendOnly("always"))
	cert, err := os.ReadFile(server.CA())
	ok(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	s := openWith(t, Options{Addresses: []string{server.Addr()}, TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}})
	createLive(t, s, "grant")
	server.Kill()
	server.Restart()
	// The certificate is the same: it is written anew with the same bytes.
	if _, err := s.RotateRefresh(t.Context(), issuer, "grant", first(1)); err != nil {
		t.Errorf("rotate: %v", err)
	}
}

func TestCloseIsOnce(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	ok(t, s.Close())
	wantErr(t, s.Close(), storage.ErrClosed)
	if _, err := s.Sweep(t.Context()); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("sweep: %v", err)
	}
}
