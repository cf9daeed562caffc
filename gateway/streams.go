// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"hash/maphash"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
)

// Causes of a request that we ended.
var (
	errStreamRevoked = errors.New("grant revoked")
	errStreamDenied  = errors.New("no longer allowed by the configuration")
	// The account could not be checked for too long.
	errStreamUnvouched = errors.New("no longer vouched for by the identity provider")
	errStreamExit      = errors.New("gateway is shutting down")
	errStreamStale     = errors.New("revocations may have been missed")
)

// streamTable knows every guarded request in flight, so that a revocation, a new
// policy or the end of the process can end it. It belongs to the process and not
// to a configuration: streams survive reloads. All requests of a grant are in one
// shard: a revocation, which is rare, walks that shard, and a request, which is
// not, only links itself in.
type streamTable struct {
	seed    maphash.Seed
	exiting atomic.Bool
	shards  [64]streamShard
}

type streamShard struct {
	mu sync.Mutex
	// ring links the shard's streams in a circle that begins and ends here.
	ring stream
	_    [32]byte // no cache line for two locks
}

// stream is one guarded request. It must not be copied once added.
type stream struct {
	// Guarded by the shard's mu. next is nil once the handler is about to return, and
	// grant is replaced by adoptStreams only.
	prev, next *stream
	grant      *liveGrant
	cancel     context.CancelCauseFunc
	// client is where the response goes, nil in tests without one.
	client http.ResponseWriter
	table  *streamTable
	shard  *streamShard
	// open is set once the response is an event stream.
	open atomic.Bool
	// hurried is for hurryHandler.
	hurried bool
	// ended is nil where we did not end it.
	ended atomic.Pointer[ending]
}

// ending is why and when we ended a request.
type ending struct {
	cause error
	at    time.Time
}

// end ends the request. An event stream ends as if the backend had said all: to the
// proxy between us and the backend anything else is a failure, which it logs with the
// headers of the request, identity and assertion included. Any other answer must not
// look complete if it is not.
func (s *stream) end(cause error) {
	if s.ended.CompareAndSwap(nil, &ending{cause, time.Now()}) {
		s.hurry()
	}
	if s.open.Load() {
		s.cancel(io.EOF)
		return
	}
	s.cancel(cause)
}

// hangUp ends the request because its client is gone: for an event stream, too, as if
// all had been said.
func (s *stream) hangUp() {
	if s.open.Load() {
		s.cancel(io.EOF)
		return
	}
	s.cancel(context.Canceled)
}

// cause is why we ended the request, nil if we did not.
func (s *stream) cause() error {
	if e := s.ended.Load(); e != nil {
		return e.cause
	}
	return nil
}

func newStreamTable() *streamTable {
	t := &streamTable{seed: maphash.MakeSeed()}
	for i := range t.shards {
		head := &t.shards[i].ring
		head.prev, head.next = head, head
	}
	return t
}

func (t *streamTable) shard(grantID string) *streamShard {
	return &t.shards[maphash.String(t.seed, grantID)%uint64(len(t.shards))]
}

// add enters a request of a grant into s, which must be zero. The request runs
// under the returned context. The caller must remove s.
func (t *streamTable) add(ctx context.Context, g *liveGrant, s *stream) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	s.grant, s.cancel, s.table, s.shard = g, cancel, t, t.shard(g.id)
	s.shard.mu.Lock()
	head := &s.shard.ring
	s.prev, s.next = head.prev, head
	s.prev.next, head.prev = s, s
	s.shard.mu.Unlock()
	// The grant may have been revoked between the check and the add: then
	// nobody else will end this request.
	if g.state.Load() == grantRevoked {
		cancel(errStreamRevoked)
	}
	return ctx
}

func (s *stream) remove() {
	s.cancel(nil)
	s.shard.mu.Lock()
	s.prev.next, s.next.prev = s.next, s.prev
	s.prev, s.next = nil, nil
	s.shard.mu.Unlock()
	s.hurryServer()
}

// markOpen says that the response is an event stream.
func (s *stream) markOpen() {
	s.open.Store(true)
	if s.table.exiting.Load() {
		s.end(errStreamExit)
	}
}

func (t *streamTable) endGrant(grantID string) {
	t.shard(grantID).each(func(s *stream) {
		if s.grant.id == grantID {
			s.end(errStreamRevoked)
		}
	})
}

// endNow ends every request in flight.
func (t *streamTable) endNow(cause error) {
	t.each(func(s *stream) { s.end(cause) })
}

func (t *streamTable) each(f func(*stream)) {
	for i := range t.shards {
		t.shards[i].each(f)
	}
}

// each calls f under the lock: f may cancel, but neither add nor remove.
func (sh *streamShard) each(f func(*stream)) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for s := sh.ring.next; s != &sh.ring; s = s.next {
		f(s)
	}
}

// endAll ends event streams at once and everything else after drain.
func (t *streamTable) endAll(drain time.Duration) {
	t.exiting.Store(true)
	t.each(func(s *stream) {
		if s.open.Load() {
			s.end(errStreamExit)
		}
	})
	time.AfterFunc(drain, func() {
		t.each(func(s *stream) { s.end(errStreamExit) })
	})
}

// rejudge ends what is no longer allowed, of one subject or, if it is empty, of all.
func (t *streamTable) rejudge(allowed func(resource string, id identity.Identity) bool, subject string) {
	t.each(func(s *stream) {
		if (subject == "" || s.grant.subject == subject) && !allowed(s.grant.resource, *s.grant.account.facts.Load()) {
			s.end(errStreamDenied)
		}
	})
}
