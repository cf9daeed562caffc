// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testpostgres"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// cable forwards to the server until it is pulled. Then nothing arrives any more
// and nobody is told, as with a firewall that forgot the connection.
type cable struct {
	t      *testing.T
	server string
	dir    string

	mu      sync.Mutex
	pulled  chan struct{}
	clients []net.Conn
}

func newCable(t *testing.T, server *testpostgres.Server) *cable {
	t.Helper()
	c := &cable{t: t, server: filepath.Join(server.Dir(), ".s.PGSQL.5432"), dir: t.TempDir(), pulled: make(chan struct{})}
	l, err := net.Listen("unix", filepath.Join(c.dir, ".s.PGSQL.5432"))
	ok(t, err)
	var conns sync.WaitGroup
	t.Cleanup(func() { c.pull(); _ = l.Close(); conns.Wait() })
	conns.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { c.forward(client) })
		}
	})
	return c
}

func (c *cable) state() chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pulled
}

func (c *cable) pull() {
	if pulled := c.state(); !isClosed(pulled) {
		close(pulled)
	}
}

// plug makes new connections work again. The old ones stay silent.
func (c *cable) plug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulled = make(chan struct{})
}

// hangUp ends the silence of the old connections.
func (c *cable) hangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, client := range c.clients {
		_ = client.Close()
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// forward copies in both directions. Its end of the client's connection stays
// open when the cable is pulled, until the client closes it.
func (c *cable) forward(client net.Conn) {
	defer client.Close()
	c.mu.Lock()
	pulled := c.pulled
	c.clients = append(c.clients, client)
	c.mu.Unlock()
	if isClosed(pulled) {
		_, _ = io.Copy(io.Discard, client)
		return
	}
	server, err := net.Dial("unix", c.server)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		<-pulled
		_ = server.Close()
	}()
	go func() {
		if _, err := io.Copy(client, server); err == nil && !isClosed(pulled) {
			_ = client.Close() // the server hung up
		}
	}()
	buf := make([]byte, 4096)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if _, err := server.Write(buf[:n]); err != nil && !isClosed(pulled) {
			return
		}
	}
}

// The network swallows everything and says nothing. No request hangs, and when it
// is back everything works.
func TestNetworkThatSwallowsEverything(t *testing.T) {
	t.Parallel()
	server := testpostgres.Shared(t)
	c := newCable(t, server)
	s := openWith(t, Options{DSN: "postgres://postgres@/postgres?host=" + c.dir, Schema: testpostgres.NewSchema(), MaxConnections: 4})
	t.Cleanup(c.hangUp) // before the store is closed, which says goodbye to the silent for long
	live(t, s, "grant")
	s.patience = 700 * time.Millisecond
	c.pull()
	began := time.Now()
	for _, err := range atOnce(8, func(i int) error {
		if i%2 == 0 {
			_, err := s.Grant(t.Context(), issuer, "grant")
			return err
		}
		return s.RevokeGrant(t.Context(), issuer, "grant")
	}) {
		if err == nil || isAnswer(err) || !strings.Contains(err.Error(), "no answer from PostgreSQL within 700ms") {
			t.Errorf("error %v", err)
		}
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	s.patience = verbPatience
	c.plug()
	_, err := s.Grant(t.Context(), issuer, "grant")
	ok(t, err)
	ok(t, s.CreateGrant(t.Context(), storagetest.NewGrant(issuer, "another", time.Now())))
}
