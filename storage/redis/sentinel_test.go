// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testredis"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// The primary dies and its replica takes over. Gateways follow by themselves, and with
// wait nothing is forgotten that was acknowledged.
func TestAFailoverBySentinel(t *testing.T) {
	t.Parallel()
	primary := testredis.Start(t)
	replica := testredis.Start(t, testredis.ReplicaOf(primary))
	sentinel := testredis.Start(t, testredis.Sentinel(primary))
	eventually(t, func() error { return knows(sentinel, replica) })
	var log journal
	s := openWith(t, Options{
		Addresses: []string{sentinel.Addr()}, SentinelMaster: testredis.SentinelName,
		Wait: Wait{Replicas: 1, Timeout: 2 * time.Second}, Logger: log.logger(),
	})
	if strings.Contains(log.String(), warnAsync) {
		t.Errorf("it warns of what wait is for: %s", log.String())
	}
	head := headOf(t, s)
	createLive(t, s, "grant")
	createLive(t, s, "revoked")
	ok(t, s.RevokeGrant(t.Context(), issuer, "revoked"))
	primary.Kill()
	eventually(t, func() error { _, err := s.Grant(t.Context(), issuer, "grant"); return err })
	_, err := s.Grant(t.Context(), issuer, "revoked")
	wantErr(t, err, storage.ErrNotFound)
	if changes, _, err := s.Changes(t.Context(), head, 10); err != nil || len(changes) != 1 {
		t.Errorf("the feed: %v, %v", changes, err)
	}
	// Alone, the new primary has nobody to confirm.
	wantErr(t, s.RevokeGrant(t.Context(), issuer, "grant"), ErrReplicas)
}

// knows reports whether a sentinel has found a replica.
func knows(sentinel, replica *testredis.Server) error {
	_, port, _ := strings.Cut(replica.Addr(), ":")
	for _, r := range sentinel.Do("SENTINEL", "REPLICAS", testredis.SentinelName).([]any) {
		for _, field := range r.([]any) {
			if field == port {
				return nil
			}
		}
	}
	return storage.ErrNotFound
}

func TestASentinelThatWatchesSomethingElse(t *testing.T) {
	t.Parallel()
	sentinel := testredis.Start(t, testredis.Sentinel(testredis.Start(t)))
	err := openError(t, Options{Addresses: []string{sentinel.Addr()}, SentinelMaster: "other", StartTimeout: time.Second})
	wantText(t, err.Error(), sentinel.Addr())
	t.Log(err)
}
