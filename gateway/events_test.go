// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// One person's story, and then a thief's, as an operator sees it in the counts.
func TestEventsAreCounted(t *testing.T) {
	t.Parallel()
	counts := map[gateway.Event]int{}
	w := newWorld(t)
	w.state = gateway.NewState(gateway.Options{
		Store: w.store, Ring: token.NewRing(token.Key{1}), Now: w.clock.Now,
		Count: func(e gateway.Event) { counts[e]++ },
	})
	w.reload()
	clientID, tok := w.tokens()
	refresh := func() *http.Response { return w.postForm(oauth.PathToken, refreshForm(clientID, tok.RefreshToken)) }

	next := decode[tokens](t, refresh())
	refresh() // the answer was lost
	w.postForm(oauth.PathToken, refreshForm(clientID, next.RefreshToken))
	w.clock.Advance(16 * time.Minute)
	refresh() // the thief, with a token of long ago

	w.store.failOn("Client", errors.New("disk gone"))
	refresh()

	want := map[gateway.Event]int{
		gateway.EventClientRegistered: 1, gateway.EventSignedIn: 1, gateway.EventGrantIssued: 1,
		gateway.EventRefreshed: 3, gateway.EventRefreshRepeated: 1, gateway.EventRefreshReused: 1,
		gateway.EventStoreFailed: 1,
	}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Error(diff)
	}
}
