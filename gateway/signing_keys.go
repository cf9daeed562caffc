// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// signingKeys are the keys of every issuer that signs identity assertions. They
// belong to the state and not to a configuration: a reload makes no new ones.
type signingKeys struct {
	st      *State
	mu      sync.Mutex
	issuers map[string]*issuerKeys
}

func newSigningKeys(st *State) *signingKeys {
	return &signingKeys{st: st, issuers: map[string]*issuerKeys{}}
}

// of returns the keys of an issuer, which are read when they are first needed.
func (s *signingKeys) of(issuer string) *issuerKeys {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.issuers[issuer]
	if k == nil {
		k = &issuerKeys{st: s.st, issuer: issuer}
		s.issuers[issuer] = k
	}
	return k
}

// issuerKeys holds an issuer's keys in memory. The store is asked where there are
// none yet, and from then on beside the requests: while it is away, what we have
// goes on signing for as long as it may.
type issuerKeys struct {
	st     *State
	issuer string
	set    atomic.Pointer[keySet]
	// asked is when the store was last asked, in Unix nanoseconds.
	asked atomic.Int64
	loads singleflight.Group
}

// keySet is the keys of an issuer at one moment. It does not change.
type keySet struct {
	// ring opened the keys. With another one they are opened again, so that removing
	// an encryption key also ends what it had sealed.
	ring *token.Ring
	// records are all keys as they are stored, keys those that could be opened.
	records []*storage.Key
	keys    []*signingKey // as signerAt wants them
	jwks    *jwksDocument
}

// keyRefresh is how often the store is asked for keys that others have made.
const keyRefresh = time.Minute

// errNoSigner: the store keeps no key that we could sign with, not even the one that
// was just made.
var errNoSigner = errors.New("no signing key can be used; do the clocks of gateway and store agree?")

// signer returns the key to sign with. It waits for the store only where there is
// none in memory.
func (k *issuerKeys) signer(ctx context.Context, now time.Time) (*signingKey, error) {
	if set := k.known(); set != nil {
		if key := signerAt(set.keys, now); key != nil {
			if k.due(now) {
				go k.refresh(context.WithoutCancel(ctx))
			}
			return key, nil
		}
	}
	set, err := k.load(ctx)
	if err != nil {
		return nil, err
	}
	if key := signerAt(set.keys, now); key != nil {
		return key, nil
	}
	return nil, errNoSigner
}

// published returns the keys to publish. Unlike signer it waits for the store where
// others may have made keys since: a set that lacks one is cached by whoever gets it.
func (k *issuerKeys) published(ctx context.Context, now time.Time) (*keySet, error) {
	set := k.known()
	if set != nil && signerAt(set.keys, now) != nil && !k.due(now) {
		return set, nil
	}
	fresh, err := k.load(ctx)
	if err != nil && set != nil && len(set.keys) > 0 {
		k.notRefreshed(err)
		return set, nil
	}
	return fresh, err
}

// known is the set in memory, opened with the ring that is in effect.
func (k *issuerKeys) known() *keySet {
	set, ring := k.set.Load(), k.st.ring.Load()
	if set == nil || set.ring == ring {
		return set
	}
	reopened := newKeySet(k.issuer, ring, set.records, nil, k.st.log)
	k.set.CompareAndSwap(set, reopened)
	k.asked.Store(0)
	return reopened
}

// due reports that the store has to be asked again, to one caller for each time.
func (k *issuerKeys) due(now time.Time) bool {
	last := k.asked.Load()
	// A last time in the future: the clock was set back.
	age := time.Duration(now.UnixNano() - last)
	return (age < 0 || age >= keyRefresh) && k.asked.CompareAndSwap(last, now.UnixNano())
}

func (k *issuerKeys) refresh(ctx context.Context) {
	if _, err := k.load(ctx); err != nil && !errors.Is(err, storage.ErrClosed) {
		k.notRefreshed(err)
	}
}

func (k *issuerKeys) notRefreshed(err error) {
	k.st.log.Warn("signing keys not refreshed", "issuer", k.issuer, "error", err)
}

// load reads the keys from the store, once for all who wait, and makes the one that
// is missing. There is one to sign with unless it returns an error.
func (k *issuerKeys) load(ctx context.Context) (*keySet, error) {
	v, err, _ := k.loads.Do("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeReadLimit)
		defer cancel()
		k.asked.Store(k.st.now().UnixNano())
		set, err := k.complete(ctx)
		if err == nil {
			k.set.Store(set)
		}
		return set, err
	})
	if err != nil {
		return nil, err
	}
	return v.(*keySet), nil
}

// newKeySet opens the records. What the previous set had opened with the same ring
// stays as it is: another gateway may have sealed it with a key we do not have yet.
func newKeySet(issuer string, ring *token.Ring, records []*storage.Key, prev *keySet, log *slog.Logger) *keySet {
	set := &keySet{ring: ring, records: records}
	for _, rec := range records {
		if key := prev.opened(ring, rec); key != nil {
			set.keys = append(set.keys, key)
			continue
		}
		key, err := openKey(ring, issuer, rec)
		if err != nil {
			if !prev.tried(ring, rec) {
				log.Warn("signing key left out", "issuer", issuer, "key", rec.ID, "error", err)
			}
			continue
		}
		set.keys = append(set.keys, key)
	}
	slices.SortFunc(set.keys, func(a, b *signingKey) int {
		return cmp.Or(a.signsFrom.Compare(b.signsFrom), a.created.Compare(b.created), cmp.Compare(a.id, b.id))
	})
	set.jwks = newJWKSDocument(set.keys)
	return set
}

// tried reports whether the set could have opened the record.
func (s *keySet) tried(ring *token.Ring, rec *storage.Key) bool {
	return s != nil && s.ring == ring && slices.ContainsFunc(s.records, func(r *storage.Key) bool { return r.ID == rec.ID })
}

// opened returns the key of a record if the set has it.
func (s *keySet) opened(ring *token.Ring, rec *storage.Key) *signingKey {
	if s == nil || s.ring != ring {
		return nil
	}
	for _, k := range s.keys {
		if k.id == rec.ID && k.kid == rec.KeyID {
			return k
		}
	}
	return nil
}
