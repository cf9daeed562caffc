// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

const headerSession = "Mcp-Session-Id"

// sessionBinding ties the backend's session ids to who they were given to. The
// backend has no users: without this, anybody signed in who learned a session id
// could speak in it (R10.16). The id handed out is "<backend's id>.<MAC>"; nothing
// is stored, and every gateway with the key can check it.
type sessionBinding struct {
	ring  *token.Ring
	token *liveToken
}

// checkInbound puts the backend's own session id into the request. It is false
// for a session of somebody else, or one we never handed out.
func (b sessionBinding) checkInbound(h http.Header) bool {
	ids := h[headerSession]
	if len(ids) == 0 {
		return true
	}
	if statelessRevision(h.Get("Mcp-Protocol-Version")) {
		// Revision 2026-07-28 has no sessions and its servers ignore the header
		// (R10.15): the backend must not see an id nobody vouches for.
		delete(h, headerSession)
		return true
	}
	if len(ids) != 1 {
		return false
	}
	i := strings.LastIndexByte(ids[0], '.')
	if i < 0 {
		return false
	}
	id, mac := ids[0][:i], ids[0][i+1:]
	if !b.ring.CheckMAC(token.PurposeSession, mac, b.parts(id)...) {
		return false
	}
	h[headerSession] = []string{id}
	return true
}

// bindOutbound replaces a session id the backend hands out by the bound form.
func (b sessionBinding) bindOutbound(h http.Header) {
	if ids := h[headerSession]; len(ids) > 0 {
		h[headerSession] = []string{ids[0] + "." + b.ring.MAC(token.PurposeSession, b.parts(ids[0])...)}
	}
}

// parts name subject, client and resource, not the grant: signing in again must
// not lose the session.
func (b sessionBinding) parts(id string) []string {
	g := b.token.grant
	return []string{g.subject, g.clientID, g.resource, id}
}

// statelessRevision reports whether the client speaks a revision without
// sessions. Revisions are dates and compare as strings.
func statelessRevision(version string) bool {
	return len(version) == len("2026-07-28") && version >= "2026-07-28"
}
