// SPDX-License-Identifier: Apache-2.0

package assertion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Times of the key cache. The gateway publishes a key a day before it signs, so keys
// may be kept for as long as it says in Cache-Control, five minutes. One that is not
// known is looked for at once, but not each time that somebody makes one up. Where the
// gateway does not answer, keys are good for a while longer.
const (
	maxAge   = 5 * time.Minute
	maxStale = time.Hour
	cooldown = 10 * time.Second
	timeout  = 5 * time.Second
	maxBytes = 64 << 10
)

// keys are the public keys of a gateway.
type keys struct {
	url    string
	client *http.Client
	now    func() time.Time

	mu      sync.Mutex
	set     jose.JSONWebKeySet
	fetched time.Time // of the set
	tried   time.Time // the last time, with or without success
	failure error     // of that time
}

func newKeys(url string) *keys {
	return &keys{url: url, client: &http.Client{Timeout: timeout}, now: time.Now}
}

// find returns the key with this id. While one caller fetches the others wait for it.
func (k *keys) find(ctx context.Context, id string) (*jose.JSONWebKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, known := k.lookup(id)
	if (!known || k.now().Sub(k.fetched) >= maxAge) && k.now().Sub(k.tried) >= cooldown {
		k.tried = k.now()
		k.failure = k.fetch(ctx)
		key, known = k.lookup(id)
	}
	switch {
	case known && k.now().Sub(k.fetched) < maxStale:
		return key, nil
	case k.failure != nil:
		return nil, k.failure
	}
	return nil, fmt.Errorf("%w: key %q is not published", ErrInvalid, id)
}

func (k *keys) lookup(id string) (*jose.JSONWebKey, bool) {
	found := k.set.Key(id)
	if id == "" || len(found) != 1 || !found[0].IsPublic() {
		return nil, false
	}
	return &found[0], true
}

func (k *keys) fetch(ctx context.Context) error {
	// Not for this caller alone: that it hangs up must not fail those who wait.
	r, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodGet, k.url, http.NoBody)
	if err != nil {
		return fmt.Errorf("fetch keys: %w", err)
	}
	resp, err := k.client.Do(r)
	if err != nil {
		return fmt.Errorf("fetch keys: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("fetch keys: status %d", resp.StatusCode)
	}
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxBytes)).Decode(&set); err != nil {
		return fmt.Errorf("fetch keys: %w", err)
	}
	if len(set.Keys) == 0 {
		return errors.New("fetch keys: the set is empty")
	}
	k.set, k.fetched = set, k.tried
	return nil
}
