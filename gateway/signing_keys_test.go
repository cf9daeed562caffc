// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

var errStoreAway = errors.New("the store is away")

// keyBed is a gateway of which only the signing keys matter.
type keyBed struct {
	handClock

	t     *testing.T
	shelf *keyShelf
	st    *State
	keys  *issuerKeys
	log   *lockedLog
}

// newKeyBed builds one over a shelf, whose clock is this gateway's from then on. ring
// are the encryption keys, the first is in use.
func newKeyBed(t *testing.T, shelf *keyShelf, ring ...token.Key) *keyBed {
	t.Helper()
	b := &keyBed{t: t, shelf: shelf, log: &lockedLog{}}
	b.set(midPeriod)
	if shelf.keyClock == nil {
		shelf.keyClock = b.Now
	}
	if len(ring) == 0 {
		ring = []token.Key{{1}}
	}
	b.st = NewState(Options{
		Store: shelf, Ring: token.NewRing(ring[0], ring[1:]...), Now: b.Now,
		Logger: slog.New(slog.NewTextHandler(b.log, nil)),
	})
	b.keys = b.st.keys.of(testIssuer)
	return b
}

// kid returns the id of the key that signs now.
func (b *keyBed) kid() string {
	b.t.Helper()
	k, err := b.keys.signer(b.t.Context(), b.Now())
	if err != nil {
		b.t.Fatalf("no key: %v\n%s", err, b.log)
	}
	return k.kid
}

func (b *keyBed) publishedKids() []string {
	b.t.Helper()
	set, err := b.keys.published(b.t.Context(), b.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	var kids []string
	for _, k := range set.keys {
		kids = append(kids, k.kid)
	}
	return kids
}

// Sixty-four requests come in at once on a fresh gateway, and again on two gateways
// that share a store: everybody signs with one and the same key.
func TestOneKeyForAllWhoAskFirst(t *testing.T) {
	t.Parallel()
	shelf := &keyShelf{}
	// Both gateways have seen that there is no key before either makes one.
	var atCreate sync.WaitGroup
	atCreate.Add(2)
	shelf.beforeCreate = func() { atCreate.Done(); atCreate.Wait() }
	beds := []*keyBed{newKeyBed(t, shelf), newKeyBed(t, shelf)}
	kids := make(chan string, 128)
	var wg sync.WaitGroup
	for i := range 128 {
		wg.Go(func() {
			k, err := beds[i%2].keys.signer(t.Context(), midPeriod)
			if err != nil {
				t.Error(err)
				return
			}
			kids <- k.kid
		})
	}
	wg.Wait()
	close(kids)
	distinct := map[string]bool{}
	for kid := range kids {
		distinct[kid] = true
	}
	if len(distinct) != 1 || len(shelf.keys) != 1 {
		t.Errorf("%d keys sign, %d are stored", len(distinct), len(shelf.keys))
	}
}

// The request path does not ask the store: what is in memory signs, and a refresh runs
// beside the request, at most once a minute.
func TestSigningDoesNotWaitForTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shelf := &keyShelf{}
		st := NewState(Options{Store: shelf, Ring: token.NewRing(token.Key{1})})
		keys := st.keys.of(testIssuer)
		sign := func() {
			t.Helper()
			if _, err := keys.signer(t.Context(), time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		sign()
		first, _ := shelf.counts()
		for range 1000 {
			sign()
		}
		synctest.Wait()
		if reads, _ := shelf.counts(); reads != first {
			t.Errorf("%d reads for 1000 signatures in the same moment", reads-first)
		}
		time.Sleep(keyRefresh)
		start := time.Now()
		shelf.keyMu.Lock() // the store hangs
		for range 1000 {
			sign()
		}
		if time.Since(start) != 0 {
			t.Error("a request waited for the store")
		}
		shelf.keyMu.Unlock()
		synctest.Wait()
		if reads, _ := shelf.counts(); reads != first+1 {
			t.Errorf("%d reads after a minute, want one", reads-first)
		}
	})
}

// The store is away for days: what is in memory goes on signing for as long as it may,
// and not one moment longer.
func TestStoreOutage(t *testing.T) {
	t.Parallel()
	b := newKeyBed(t, &keyShelf{})
	kid := b.kid()
	b.shelf.down(errStoreAway)
	end := periodStart(701).Add(keyTail - keyMargin)
	for b.Now().Before(end) {
		if got := b.kid(); got != kid {
			t.Fatalf("%v: another key", b.Now())
		}
		if got := b.publishedKids(); len(got) != 1 || got[0] != kid {
			t.Fatalf("%v: published %v", b.Now(), got)
		}
		b.set(b.Now().Add(5 * time.Hour))
	}
	b.set(end)
	if k, err := b.keys.signer(t.Context(), b.Now()); !errors.Is(err, errStoreAway) {
		t.Errorf("after its end: %v, %v", k, err)
	}
	// What it signed is still to be verified.
	if got := b.publishedKids(); len(got) != 1 {
		t.Errorf("published %v", got)
	}
	b.shelf.down(nil)
	if got := b.kid(); got == kid {
		t.Error("the key that ended signs again")
	}
}

func TestNoKeyAndNoStore(t *testing.T) {
	t.Parallel()
	b := newKeyBed(t, &keyShelf{})
	b.shelf.down(errStoreAway)
	for range 3 {
		if k, err := b.keys.signer(t.Context(), b.Now()); !errors.Is(err, errStoreAway) {
			t.Fatalf("%v, %v", k, err)
		}
		if set, err := b.keys.published(t.Context(), b.Now()); !errors.Is(err, errStoreAway) {
			t.Fatalf("%v, %v", set, err)
		}
	}
	b.shelf.down(nil)
	b.kid() // at once: the failure is not remembered
}

// The first caller hangs up while the store is being read. Those who wait with it must
// not fail for that, and neither must the next one.
func TestFirstCallerHangsUp(t *testing.T) {
	t.Parallel()
	b := newKeyBed(t, &keyShelf{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.keys.signer(ctx, b.Now()); err != nil {
		t.Error(err)
	}
}

// Another gateway makes the next key. This one publishes it as soon as somebody asks,
// long before it signs, and signs with it when its time has come.
func TestKeyOfAnotherGateway(t *testing.T) {
	t.Parallel()
	shelf := &keyShelf{}
	here, there := newKeyBed(t, shelf), newKeyBed(t, shelf)
	old := here.kid()
	there.set(periodStart(701).Add(-keyAhead))
	there.publishedKids()
	here.set(there.Now().Add(time.Minute))
	kids := here.publishedKids()
	if len(kids) != 2 || kids[0] != old || here.kid() != old || there.kid() != old {
		t.Fatalf("published %v", kids)
	}
	here.set(periodStart(701))
	there.set(periodStart(701))
	if here.kid() != kids[1] || there.kid() != kids[1] {
		t.Error("the new key does not sign in its time")
	}
}

// A clock that steps, forwards for a moment or backwards, neither stops signing nor
// leaves a key behind that signs for ever.
func TestClockSteps(t *testing.T) {
	t.Parallel()
	shelf := &keyShelf{}
	b := newKeyBed(t, shelf)
	first := b.kid()
	for _, step := range []time.Duration{-time.Second, -time.Hour, -10 * day, 0, 10 * day} {
		b.set(midPeriod.Add(step))
		if got := b.kid(); got != first {
			t.Errorf("step of %v: another key signs", step)
		}
	}
	b.set(midPeriod.Add(3 * 365 * day)) // a battery that died: the clock starts in the future
	future := b.kid()
	b.set(midPeriod.Add(10 * day))
	back := b.kid()
	if future == first || back == future {
		t.Error("a key of the future signs")
	}
	b.set(time.Unix(0, 0)) // or in 1970
	if epoch := b.kid(); epoch == future || epoch == back {
		t.Error("a key of the future signs")
	}
	if n := len(b.publishedKids()); n < 2 {
		t.Errorf("%d keys are published", n)
	}
}

// The store's clock is far ahead of ours: the key that was just made is past its end
// for it. That is an error that says so, and not an endless loop.
func TestStoreWithAnotherClock(t *testing.T) {
	t.Parallel()
	shelf := &keyShelf{keyClock: func() time.Time { return midPeriod.Add(365 * day) }}
	b := newKeyBed(t, shelf)
	if k, err := b.keys.signer(t.Context(), b.Now()); !errors.Is(err, errNoSigner) || !strings.Contains(err.Error(), "clocks") {
		t.Errorf("%v, %v", k, err)
	}
}

// A key that cannot be stored in time is no reason to refuse requests while the
// present one signs.
func TestNextKeyCannotBeStored(t *testing.T) {
	t.Parallel()
	b := newKeyBed(t, &keyShelf{})
	kid := b.kid()
	b.st.store = readOnly{b.shelf}
	b.set(periodStart(701).Add(-time.Hour))
	if got := b.publishedKids(); len(got) != 1 || b.kid() != kid {
		t.Errorf("published %v", got)
	}
	if !strings.Contains(b.log.String(), "signing key not made") {
		t.Errorf("log: %s", b.log)
	}
}

type readOnly struct{ *keyShelf }

func (readOnly) CreateKey(context.Context, *storage.Key) error { return errStoreAway }
