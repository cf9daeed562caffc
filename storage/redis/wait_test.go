// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testredis"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

func TestWaitForAReplica(t *testing.T) {
	t.Parallel()
	primary := testredis.Start(t)
	replica := testredis.Start(t, testredis.ReplicaOf(primary))
	o := Options{Addresses: []string{primary.Addr()}, Wait: Wait{Replicas: 1, Timeout: 5 * time.Second}, Prefix: testredis.Prefix()}
	s := openWith(t, o)
	createLive(t, s, "grant")
	if _, err := s.RotateRefresh(t.Context(), issuer, "grant", first(1)); err != nil {
		t.Error(err)
	}
	ok(t, s.CreateGrant(t.Context(), storagetest.NewGrant(issuer, "new", nowOf(s))))
	ok(t, s.RevokeGrant(t.Context(), issuer, "new"))

	// The primary burns down in this very moment. What was acknowledged is at the replica.
	primary.Kill()
	replica.Do("REPLICAOF", "NO", "ONE")
	o.Addresses, o.Wait = []string{replica.Addr()}, Wait{}
	after := openWith(t, o)
	g, err := after.Grant(t.Context(), issuer, "grant")
	if err != nil || g.Refresh.Current != (storage.Hash{1}) {
		t.Errorf("the grant at the replica: %+v, %v", g, err)
	}
	_, err = after.Grant(t.Context(), issuer, "new")
	wantErr(t, err, storage.ErrNotFound)
}

// The replica is away. A write is on the primary, and nobody may be told that it is safe.
func TestTooFewReplicas(t *testing.T) {
	t.Parallel()
	primary := testredis.Start(t)
	replica := testredis.Start(t, testredis.ReplicaOf(primary))
	s := openWith(t, Options{Addresses: []string{primary.Addr()}, Wait: Wait{Replicas: 1, Timeout: 200 * time.Millisecond}})
	createLive(t, s, "grant")
	createLive(t, s, "revoked")
	_, err := s.RotateRefresh(t.Context(), issuer, "grant", first(1))
	ok(t, err)
	replica.Freeze()
	begin := time.Now()
	for name, verb := range map[string]func() error{
		"create": func() error { return s.CreateGrant(t.Context(), storagetest.NewGrant(issuer, "new", nowOf(s))) },
		"revoke": func() error { return s.RevokeGrant(t.Context(), issuer, "revoked") },
		// It is gone from the primary by now, or never was there. That is not safe either:
		// a failover would bring it back.
		"revoke again":   func() error { return s.RevokeGrant(t.Context(), issuer, "revoked") },
		"delete nothing": func() error { return s.DeleteSessions(t.Context(), "nobody") },
		// It changes nothing, but hands out what a change installed.
		"repeat": func() error { _, err := s.RotateRefresh(t.Context(), issuer, "grant", first(2)); return err },
	} {
		if err := verb(); !errors.Is(err, ErrReplicas) {
			t.Errorf("%s: %v, want %v", name, err, ErrReplicas)
		}
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
	// Reads go on: they are of the primary.
	if _, err := s.Grant(t.Context(), issuer, "new"); err != nil {
		t.Errorf("the write is on the primary: %v", err)
	}
	replica.Thaw()
	eventually(t, func() error { return s.RevokeGrant(t.Context(), issuer, "grant") })
}

func TestWaitWithoutAnyReplica(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t)
	o := Options{Addresses: []string{server.Addr()}, Wait: Wait{Replicas: 1, Timeout: 50 * time.Millisecond}}
	wantErr(t, openError(t, o), ErrReplicas)
}

func TestWaitInACluster(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t, testredis.Cluster())
	s := openWith(t, Options{Addresses: []string{server.Addr()}, Cluster: true})
	s.wait = Wait{Replicas: 1, Timeout: 50 * time.Millisecond} // Open would refuse it
	wantErr(t, s.CreateGrant(t.Context(), storagetest.NewGrant(issuer, "grant", nowOf(s))), ErrReplicas)
	s.wait = Wait{}
	if _, err := s.Grant(t.Context(), issuer, "grant"); err != nil {
		t.Errorf("the write is on the primary: %v", err)
	}
}
