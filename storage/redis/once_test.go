// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"bytes"
	"net"
	"sync/atomic"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testredis"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// cutter passes everything on to a server, until it is told to lose the answers: then the
// server gets the command, and the connection breaks before the answer.
type cutter struct {
	addr     string
	cutting  atomic.Bool
	commands atomic.Int64 // that reached the server while cutting
}

func newCutter(t *testing.T, server *testredis.Server) *cutter {
	t.Helper()
	c := &cutter{}
	c.addr = listen(t, func(client net.Conn) {
		backend, err := net.Dial("tcp", server.Addr())
		if err != nil {
			return
		}
		defer func() { _ = backend.Close() }()
		go func() {
			defer func() { _ = client.Close() }()
			answer := make([]byte, 64<<10)
			for {
				n, err := backend.Read(answer)
				if err != nil || c.cutting.Load() {
					return
				}
				if _, err := client.Write(answer[:n]); err != nil {
					return
				}
			}
		}()
		request := make([]byte, 64<<10)
		for {
			n, err := client.Read(request)
			if err != nil {
				return
			}
			if c.cutting.Load() && (bytes.Contains(request[:n], []byte("evalsha")) || bytes.Contains(request[:n], []byte("hget"))) {
				c.commands.Add(1)
			}
			if _, err := backend.Write(request[:n]); err != nil {
				return
			}
		}
	})
	return c
}

// The connection breaks when the server has done what it was told, before it says so. Sent
// again, the command would find its own work: a code redeemed, so that a login would be
// taken for an attack and revoked; an id used; a request taken. So it is not sent again,
// and the caller hears that nobody knows.
func TestNoCommandIsSentTwice(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t)
	c := newCutter(t, server)
	s := openWith(t, Options{Addresses: []string{c.addr}})
	ctx, now := t.Context(), nowOf(s)
	for _, verb := range verbs(t, s) {
		_ = verb() // so that the server knows the scripts
	}
	for name, tc := range map[string]struct {
		run func() error
		// sent is how many commands a verb may send: one that reads may be repeated.
		sent int64
	}{
		"create":   {func() error { return s.CreateGrant(ctx, storagetest.NewGrant(issuer, "grant", now)) }, 1},
		"revoke":   {func() error { return s.RevokeGrant(ctx, issuer, "grant") }, 1},
		"sessions": {func() error { return s.DeleteSessions(ctx, "github:1") }, 1},
		"client":   {func() error { return s.CreateClient(ctx, storagetest.NewClient(issuer, "client", now)) }, 1},
		"read":     {func() error { _, err := s.Grant(ctx, issuer, "grant"); return err }, readAttempts},
		"commit": {func() error {
			_, err := grants.commit(ctx, s, keyOf(issuer, "grant"), found[storage.Grant]{}, false, step[storage.Grant]{put: storagetest.NewGrant(issuer, "grant", now)})
			return err
		}, 1},
	} {
		c.cutting.Store(false)
		_, err := s.Head(ctx) // so that a connection is there
		ok(t, err)
		c.commands.Store(0)
		c.cutting.Store(true)
		if err := tc.run(); err == nil || outcome(err) {
			t.Errorf("%s: %v", name, err)
		}
		if n := c.commands.Load(); n < 1 || n > tc.sent {
			t.Errorf("%s: %d commands, want at most %d", name, n, tc.sent)
		}
	}
	c.cutting.Store(false)
	// It did happen.
	if _, err := s.Client(ctx, issuer, "client"); err != nil {
		t.Errorf("the client is not there: %v", err)
	}
}

// The same through a client of a cluster, which has retries of its own.
func TestNoCommandIsSentTwiceToACluster(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t, testredis.Cluster())
	c := newCutter(t, server)
	host, port := split(t, c.addr)
	// The node says that it is where the cutter is.
	server.Do("CONFIG", "SET", "cluster-announce-ip", host)
	server.Do("CONFIG", "SET", "cluster-announce-port", port)
	s := openWith(t, Options{Addresses: []string{c.addr}, Cluster: true})
	_, err := s.Head(t.Context())
	ok(t, err)
	ok(t, s.CreateGrant(t.Context(), storagetest.NewGrant(issuer, "first", nowOf(s))))
	c.cutting.Store(true)
	err = s.CreateGrant(t.Context(), storagetest.NewGrant(issuer, "grant", nowOf(s)))
	if err == nil || outcome(err) {
		t.Errorf("create: %v", err)
	}
	if n := c.commands.Load(); n != 1 {
		t.Errorf("%d commands", n)
	}
}

func split(t *testing.T, addr string) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	ok(t, err)
	return host, port
}
