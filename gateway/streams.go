// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
)

// Causes of a request that we ended.
var (
	errStreamRevoked = errors.New("grant revoked")
	errStreamDenied  = errors.New("no longer allowed by the configuration")
	errStreamExit    = errors.New("gateway is shutting down")
)

// streamTable knows every guarded request in flight, by grant, so that a
// revocation, a new policy or the end of the process can end it. It belongs to
// the process and not to a configuration: streams survive reloads.
type streamTable struct {
	seed    maphash.Seed
	exiting atomic.Bool
	shards  [64]streamShard
}

type streamShard struct {
	mu      sync.Mutex
	byGrant map[string]map[*stream]struct{}
}

// stream is one guarded request.
type stream struct {
	grant  *liveGrant
	cancel context.CancelCauseFunc
	table  *streamTable
	// open is set once the response is an event stream.
	open atomic.Bool
}

func newStreamTable() *streamTable {
	t := &streamTable{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].byGrant = map[string]map[*stream]struct{}{}
	}
	return t
}

func (t *streamTable) shard(grantID string) *streamShard {
	return &t.shards[maphash.String(t.seed, grantID)%uint64(len(t.shards))]
}

// add joins a request to its grant. The caller must remove it.
func (t *streamTable) add(ctx context.Context, g *liveGrant) (context.Context, *stream) {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &stream{grant: g, cancel: cancel, table: t}
	sh := t.shard(g.id)
	sh.mu.Lock()
	set := sh.byGrant[g.id]
	if set == nil {
		set = map[*stream]struct{}{}
		sh.byGrant[g.id] = set
	}
	set[s] = struct{}{}
	sh.mu.Unlock()
	// The grant may have been revoked between the check and the add: then
	// nobody else will end this request.
	if g.state.Load() == grantRevoked {
		cancel(errStreamRevoked)
	}
	return ctx, s
}

func (s *stream) remove() {
	s.cancel(nil)
	sh := s.table.shard(s.grant.id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	set := sh.byGrant[s.grant.id]
	delete(set, s)
	if len(set) == 0 {
		delete(sh.byGrant, s.grant.id)
	}
}

// markOpen says that the response is an event stream.
func (s *stream) markOpen() {
	s.open.Store(true)
	if s.table.exiting.Load() {
		s.cancel(errStreamExit)
	}
}

func (t *streamTable) endGrant(grantID string) {
	sh := t.shard(grantID)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for s := range sh.byGrant[grantID] {
		s.cancel(errStreamRevoked)
	}
}

func (t *streamTable) each(f func(*stream)) {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		for _, set := range sh.byGrant {
			for s := range set {
				f(s)
			}
		}
		sh.mu.Unlock()
	}
}

// endAll ends event streams at once and everything else after drain.
func (t *streamTable) endAll(drain time.Duration) {
	t.exiting.Store(true)
	t.each(func(s *stream) {
		if s.open.Load() {
			s.cancel(errStreamExit)
		}
	})
	time.AfterFunc(drain, func() {
		t.each(func(s *stream) { s.cancel(errStreamExit) })
	})
}

func (t *streamTable) rejudge(allowed func(resource string, id identity.Identity) bool) {
	t.each(func(s *stream) {
		if !allowed(s.grant.resource, *s.grant.account.facts.Load()) {
			s.cancel(errStreamDenied)
		}
	})
}
