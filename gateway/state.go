// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/fetch"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// State is what outlives a configuration: the store, the key ring, the grants in
// use, the limiters and the open streams. A reload builds new Servers over the
// same State, so nobody notices it.
type State struct {
	store    storage.Store
	ring     atomic.Pointer[token.Ring]
	live     *liveTable
	streams  *streamTable
	limiters limiterSet
	remote   *remoteClients
	keys     *signingKeys
	now      func() time.Time
	counter  func(Event)
	judge    atomic.Pointer[judge]
	recheck  atomic.Pointer[recheckRules]
	checks   *checks
	// follower is nil where the store is ours alone.
	follower *follower
	// doubts counts how often something was forgotten because others had changed it:
	// a request that was admitted before and is not yet among the streams would be
	// ended by nobody.
	doubts atomic.Uint64
	// sealedAnew: records were looked through for old keys since the start.
	sealedAnew atomic.Bool
	// issuers are those that configurations of this process had.
	issuers sync.Map
	log     *slog.Logger
}

// Options builds a State. Store and Ring are required.
type Options struct {
	Store  storage.Store
	Ring   *token.Ring
	Logger *slog.Logger
	// Fetch gets what clients publish. Nil means one that reaches public addresses
	// only; tests give their own.
	Fetch *fetch.Client
	// Count is told of every event, for metrics. Nil counts nothing.
	Count func(Event)
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
}

// NewState makes the state of one store.
func NewState(o Options) *State {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	st := &State{
		store:   o.Store,
		live:    newLiveTable(o.Store, o.Now),
		streams: newStreamTable(),
		remote:  newRemoteClients(o.Fetch, o.Now),
		now:     o.Now,
		counter: o.Count,
		log:     o.Logger,
	}
	st.keys = newSigningKeys(st)
	st.ring.Store(o.Ring)
	st.checks = newChecks(st)
	st.follow()
	return st
}

// SetRing replaces the key ring, after encryption_key changed in a reload. Tokens
// made with a key that is no longer in the ring end on the next request; what is
// sealed at rest is sealed again with the new key, little by little.
func (st *State) SetRing(r *token.Ring) {
	old := st.ring.Swap(r)
	first := st.sealedAnew.CompareAndSwap(false, true) // keys may have changed while nobody ran
	if first || old == nil || !r.Current(old.Seal(token.PurposeUpstreamToken, nil, "")) {
		st.reseal(r)
	}
}

// EndStreams ends every open stream, for a process that is about to exit. Calls
// that are no streams are given a few seconds to finish.
func (st *State) EndStreams() { st.streams.endAll(drainTime) }

// drainTime bounds how long a plain call may hold up the exit of the process.
const drainTime = 5 * time.Second

// Rejudge ends the open requests that a newly loaded configuration does not
// allow. allowed gets the canonical resource and the person's current facts.
func (st *State) Rejudge(allowed func(resource string, id identity.Identity) bool) {
	st.SetJudge(allowed)
	st.streams.rejudge(allowed, "")
}

// SetJudge says who is allowed what from now on, for the streams of people about
// whom we learn something new. It ends nothing by itself.
func (st *State) SetJudge(allowed func(resource string, id identity.Identity) bool) {
	st.judge.Store(&judge{allowed})
}

// judge is who is allowed what in the newest configuration. Judges are compared by
// identity: another one means that the configuration changed.
type judge struct {
	allowed func(resource string, id identity.Identity) bool
}

// Close ends what runs in the background and closes the store. Requests still
// running fail closed.
func (st *State) Close() error {
	st.follower.close()
	st.checks.close()
	return st.store.Close()
}

// revokeGrant ends a grant everywhere: in the store first, so that what we tell
// the world survives a crash, then in memory, then its open streams.
func (st *State) revokeGrant(ctx context.Context, issuer, grantID string) error {
	ctx, cancel := finish(ctx)
	defer cancel()
	if err := st.store.RevokeGrant(ctx, issuer, grantID); err != nil {
		st.live.doubt(grantID)
		return err
	}
	st.forgetGrant(grantID)
	return nil
}

// finish is the context for a step that must reach memory once it is in the store.
// A caller that hangs up while the disk is syncing leaves the outcome open: the
// grant would be gone from the store and live on here.
func finish(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), finishTime)
}

// finishTime bounds such a step. Past it the grant is read again when next needed.
const finishTime = 15 * time.Second

// forgetGrant drops a grant that the store no longer has.
func (st *State) forgetGrant(grantID string) {
	st.live.revoke(grantID)
	st.streams.endGrant(grantID)
}
