// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testredis"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// The operator moves our slot to another node while no gateway writes, and then they go on:
// the first node sends them to the second.
func TestOurSlotMoves(t *testing.T) {
	t.Parallel()
	from := testredis.Start(t, testredis.Cluster(), testredis.Set("cluster-allow-replica-migration", "no"))
	to := testredis.Start(t, testredis.Set("cluster-enabled", "yes"), testredis.Set("cluster-allow-replica-migration", "no"))
	host, port := split(t, to.Addr())
	from.Do("CLUSTER", "MEET", host, port)
	for _, node := range []*testredis.Server{from, to} {
		eventually(t, func() error {
			state := node.Do("CLUSTER", "INFO").(string)
			if !contains(state, "cluster_state:ok") || !contains(state, "cluster_known_nodes:2") {
				return errors.New(state)
			}
			return nil
		})
	}

	s := openWith(t, Options{Addresses: []string{from.Addr()}, Cluster: true})
	createLive(t, s, "grant")
	moveSlot(t, s, from, to)
	if _, err := s.RotateRefresh(t.Context(), issuer, "grant", first(1)); err != nil {
		t.Errorf("rotate: %v", err)
	}
	ok(t, s.CreateGrant(t.Context(), storagetest.NewGrant(issuer, "new", nowOf(s))))

	// And back, for writes that wait.
	moveSlot(t, s, to, from)
	s.wait = Wait{Replicas: 1, Timeout: 50 * time.Millisecond}
	wantErr(t, s.RevokeGrant(t.Context(), issuer, "new"), ErrReplicas) // it got there
	s.wait = Wait{}
	grants, err := s.GrantsOf(t.Context(), "github:583231")
	if err != nil || len(grants) != 1 {
		t.Errorf("%d grants, %v", len(grants), err)
	}
}

// moveSlot moves the slot of a store with all that is in it.
func moveSlot(t *testing.T, s *Store, from, to *testredis.Server) {
	t.Helper()
	slot := from.Do("CLUSTER", "KEYSLOT", s.meta)
	fromID, toID := from.Do("CLUSTER", "MYID"), to.Do("CLUSTER", "MYID")
	to.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", fromID)
	from.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", toID)
	host, port := split(t, to.Addr())
	for _, name := range from.Do("CLUSTER", "GETKEYSINSLOT", slot, "1000").([]any) {
		from.Do("MIGRATE", host, port, name, "0", "5000")
	}
	for _, server := range []*testredis.Server{to, from} {
		server.Do("CLUSTER", "SETSLOT", slot, "NODE", toID)
	}
}
