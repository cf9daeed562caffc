// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

const day = 24 * time.Hour

// twin is a second gateway over the same store, as behind a load balancer.
func (w *world) twin() *world {
	w.t.Helper()
	other := &world{
		t: w.t, clock: w.clock, store: w.store, config: w.config, up: w.up, backend: w.backend, log: w.log,
		state: gateway.NewState(gateway.Options{Store: w.store, Ring: token.NewRing(token.Key{1}), Now: w.clock.Now}),
	}
	other.reload()
	return other
}

// lasting is a grant for years; tokens of it are sealed anew where they are needed.
func (w *world) lasting() func() string {
	g := w.issue(func(g *storage.Grant) { g.ExpiresAt = g.CreatedAt.Add(10 * 365 * day) }).grant
	return func() string { return w.seal(g, w.clock.Now().Add(time.Hour)) }
}

// The story: a backend fetches the keys, from any of the gateways, keeps them for as
// long as it may, and never asks again for a key it does not know. Over two years, with
// a rotation every month and silences of days and weeks, it accepts every assertion
// that reaches it from any gateway.
func TestBackendWithCachedKeysAcceptsEverything(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gateways := []*world{w, w.twin()}
	tok := w.lasting()
	rnd := rand.New(rand.NewPCG(1, 2))
	backend := w.strictBackend(resource)
	backend.fetch = func() *http.Response { return gateways[rnd.IntN(2)].get(oauth.PathJWKS) }
	seen := map[string]bool{}
	for end := w.clock.Now().Add(2 * 365 * day); w.clock.Now().Before(end); {
		w.clock.Advance(silence(rnd))
		backend.refresh(t)
		// What was fetched is used to its last second.
		for range 3 {
			w.clock.Advance(time.Duration(rnd.Int64N(int64(100 * time.Second))))
			if _, err := backend.verify(t, gateways[rnd.IntN(2)].asserted("/mcp", tok())); err != nil {
				t.Fatalf("%v: %v", w.clock.Now(), err)
			}
		}
		for kid := range backend.keys {
			seen[kid] = true
		}
		if len(backend.keys) > 3 {
			t.Fatalf("%d keys at %v", len(backend.keys), w.clock.Now())
		}
	}
	if len(seen) < 20 || len(seen) > 26 {
		t.Errorf("%d keys in two years", len(seen))
	}
}

// silence is how long nothing happens: mostly hours, now and then days or weeks.
func silence(rnd *rand.Rand) time.Duration {
	limit := []time.Duration{6 * time.Hour, 6 * time.Hour, 6 * time.Hour, day, 4 * day, 40 * day}[rnd.IntN(6)]
	return time.Duration(rnd.Int64N(int64(limit)))
}

// The hours around one rotation, closely: the backend fetches right before the key
// changes, at every second that matters.
func TestBackendFetchesRightBeforeTheRotation(t *testing.T) {
	t.Parallel()
	for _, before := range []time.Duration{299 * time.Second, time.Minute, time.Second, 0} {
		w := newWorld(t)
		w.toBoundary(2 * day)
		tok := w.lasting()
		backend := w.strictBackend(resource)
		old := w.asserted("/mcp", tok())
		for range 47 {
			w.clock.Advance(time.Hour)
			// Not by signing, which looks for new keys beside the request: the clock would
			// have moved on by then.
			w.get(oauth.PathJWKS)
		}
		w.clock.Advance(time.Hour - before)
		backend.refresh(t)
		if n := len(backend.keys); n != 2 {
			t.Fatalf("%v before: %d keys are published", before, n)
		}
		last := w.asserted("/mcp", tok())
		for range 4 {
			w.clock.Advance(74 * time.Second)
			if _, err := backend.verify(t, w.asserted("/mcp", tok())); err != nil {
				t.Errorf("fetched %v before: %v", before, err)
			}
		}
		w.clock.Advance(5 * time.Minute)
		if kid(t, last) != kid(t, old) && before > 0 || kid(t, w.asserted("/mcp", tok())) == kid(t, old) {
			t.Errorf("%v before: the key did not change when it should", before)
		}
	}
}

// The store goes away the evening before the rotation, for a day: the next key was
// published already and takes over on time.
func TestRotationWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.toBoundary(5 * day)
	tok := w.lasting()
	backend := w.strictBackend(resource)
	first := w.asserted("/mcp", tok()) // the grant is known here from now on
	w.toBoundary(12 * time.Hour)
	w.get(oauth.PathJWKS)
	for _, verb := range []string{"Keys", "CreateKey"} {
		w.store.failOn(verb, errStoreAway)
	}
	for range 24 {
		w.clock.Advance(time.Hour)
		if _, err := backend.verify(t, w.asserted("/mcp", tok())); err != nil {
			t.Fatalf("%v: %v", w.clock.Now(), err)
		}
	}
	if kid(t, w.asserted("/mcp", tok())) == kid(t, first) {
		t.Error("the key did not change")
	}
}

// toBoundary lets time pass until so much before the next rotation.
func (w *world) toBoundary(before time.Duration) {
	// Periods are counted from 1970, Truncate counts from the year 1.
	const period = int64(30 * day / time.Second)
	now := w.clock.Now()
	w.clock.Advance(time.Unix((now.Unix()/period+1)*period, 0).Add(-before).Sub(now))
}

func kid(t *testing.T, compact string) string {
	t.Helper()
	var header struct {
		Kid string `json:"kid"`
	}
	if err := unmarshalPart(strings.Split(compact, ".")[0], &header); err != nil {
		t.Fatal(err)
	}
	return header.Kid
}
