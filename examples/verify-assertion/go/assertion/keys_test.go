// SPDX-License-Identifier: Apache-2.0

package assertion

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// publisher is a gateway that publishes keys with these ids, or fails.
type publisher struct {
	mu      sync.Mutex
	ids     []string
	failing bool
	fetches int
	private bool
}

func (p *publisher) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fetches++
	if p.failing {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	var set jose.JSONWebKeySet
	for _, id := range p.ids {
		key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		jwk := jose.JSONWebKey{Key: &key.PublicKey, KeyID: id, Algorithm: "ES256", Use: "sig"}
		if p.private {
			jwk.Key = key
		}
		set.Keys = append(set.Keys, jwk)
	}
	_ = json.NewEncoder(w).Encode(set)
}

// Each step is some time after the one before it.
func TestKeyCache(t *testing.T) {
	t.Parallel()
	type step struct {
		after   time.Duration
		publish []string // nil: as before
		failing bool
		find    string
		want    string // "found", "invalid" or "unknown"
		fetches int    // so far
	}
	for name, steps := range map[string][]step{
		"kept for five minutes": {
			{publish: []string{"a"}, find: "a", want: "found", fetches: 1},
			{after: 299 * time.Second, find: "a", want: "found", fetches: 1},
			{after: time.Second, find: "a", want: "found", fetches: 2},
		},
		"a new key is looked for": {
			{publish: []string{"a"}, find: "a", want: "found", fetches: 1},
			{after: cooldown, publish: []string{"a", "b"}, find: "b", want: "found", fetches: 2},
		},
		"but not for everybody who makes one up": {
			{publish: []string{"a"}, find: "x", want: "invalid", fetches: 1},
			{find: "y", want: "invalid", fetches: 1},
			{find: "", want: "invalid", fetches: 1},
			{find: "a", want: "found", fetches: 1},
			{after: cooldown, find: "z", want: "invalid", fetches: 2},
		},
		"a key that is gone": {
			{publish: []string{"a", "b"}, find: "a", want: "found", fetches: 1},
			{after: maxAge, publish: []string{"b"}, find: "a", want: "invalid", fetches: 2},
		},
		"the gateway does not answer": {
			{publish: []string{"a"}, find: "a", want: "found", fetches: 1},
			{after: maxAge, failing: true, find: "a", want: "found", fetches: 2},
			{find: "a", want: "found", fetches: 2},
			{after: maxStale - maxAge, failing: true, find: "a", want: "unknown", fetches: 3},
			{find: "a", want: "unknown", fetches: 3},
			{after: cooldown, find: "a", want: "found", fetches: 4},
		},
		"nor at the beginning": {
			{publish: []string{"a"}, failing: true, find: "a", want: "unknown", fetches: 1},
			{find: "a", want: "unknown", fetches: 1},
			{after: cooldown, find: "a", want: "found", fetches: 2},
		},
		"an empty set is none": {{publish: []string{}, find: "a", want: "unknown", fetches: 1}},
		"two of one id":        {{publish: []string{"a", "a"}, find: "a", want: "invalid", fetches: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &publisher{}
			srv := httptest.NewServer(p)
			defer srv.Close()
			now := time.Unix(1_800_000_000, 0)
			k := newKeys(srv.URL)
			k.now = func() time.Time { return now }
			for i, s := range steps {
				now = now.Add(s.after)
				p.mu.Lock()
				if p.failing = s.failing; s.publish != nil {
					p.ids = s.publish
				}
				p.mu.Unlock()
				key, err := k.find(t.Context(), s.find)
				got := "found"
				switch {
				case errors.Is(err, ErrInvalid):
					got = "invalid"
				case err != nil:
					got = "unknown"
				case key.KeyID != s.find:
					got = "another key"
				}
				if got != s.want || p.fetches != s.fetches {
					t.Errorf("step %d: %s (%v) after %d fetches, want %s after %d", i, got, err, p.fetches, s.want, s.fetches)
				}
			}
		})
	}
}

// Somebody publishes their private key. It proves nothing any more.
func TestPrivateKeyIsNoKey(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(&publisher{ids: []string{"a"}, private: true})
	defer srv.Close()
	if _, err := newKeys(srv.URL).find(t.Context(), "a"); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
}

// The one who fetches hangs up; those who wait must not fail for that. And many who ask
// at once fetch once.
func TestManyAskAtOnce(t *testing.T) {
	t.Parallel()
	p := &publisher{ids: []string{"a"}}
	srv := httptest.NewServer(p)
	defer srv.Close()
	k := newKeys(srv.URL)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			if _, err := k.find(gone, "a"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if p.fetches != 1 {
		t.Errorf("%d fetches", p.fetches)
	}
}
