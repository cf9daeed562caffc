// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	docs "github.com/caddy-mcp/caddy-mcp-oauth/internal/fetch"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// An assertion was used at a gateway, and whoever stole it keeps it until that gateway
// would refuse it as expired. Another gateway, whose clock is a little behind, would
// still accept it: what was used must be remembered for as long as that.
func TestAReplayAtAGatewayWhoseClockIsBehind(t *testing.T) {
	t.Parallel()
	w, p := newDocumentWorld(t)
	id := p.signingClient("rsa")
	tok := w.grantOf(id)
	f := asserted(refreshForm(id, tok.RefreshToken), w.assertion(id, nil))
	if status := w.postForm(oauth.PathToken, f).StatusCode; status != http.StatusOK {
		t.Fatalf("the client's own request is answered %d", status)
	}
	w.clock.Advance(6*time.Minute + 10*time.Second)
	w.state = gateway.NewState(gateway.Options{
		Store: w.store, Ring: token.NewRing(token.Key{1}), Fetch: docs.New(p.options()),
		Now: func() time.Time { return w.clock.Now().Add(-59 * time.Second) },
	})
	w.reload()
	if e := wantError(t, w.postForm(oauth.PathToken, f), http.StatusUnauthorized, "invalid_client"); !strings.Contains(e.Description, "used before") {
		t.Errorf("it is refused for something else: %s", e.Description)
	}
}
