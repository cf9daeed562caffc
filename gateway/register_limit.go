// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"slices"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

// webAddressFactor is how many times the configured rate one address may register
// clients of the web, whatever their redirect hosts.
const webAddressFactor = 10

// mayRegister counts a registration.
//
// A client on the user's own computer counts for its address. A web service counts
// for its redirect host and address together: all of its users come from the few
// addresses of that service, and must not share them with those of another one;
// but nobody else, by registering in its name from elsewhere, can use up what is
// theirs. So that inventing hosts gains nothing, one address has a wider limit of
// its own over all of them.
func (s *Server) mayRegister(r *http.Request, reg *oauth.Registration) (ok bool, retryAfter time.Duration) {
	addr := s.clientKey(r)
	host := webHost(reg.RedirectURIs)
	if host == "" {
		return s.limitRegistrations.Allow(addr)
	}
	if ok, retryAfter := s.limitWebRegistrations.Allow(addr); !ok {
		return false, retryAfter
	}
	return s.limitRegistrations.Allow("host " + host + " from " + addr)
}

// webHost is the first redirect host, in order of the alphabet, of a client that
// has nothing but https redirect URIs; empty for any other.
func webHost(redirectURIs []string) string {
	var hosts []string
	for _, raw := range redirectURIs {
		if kind, perr := oauth.ParseRedirectURI(raw); perr != nil || kind != oauth.RedirectHTTPS {
			return ""
		}
		hosts = append(hosts, oauth.RedirectHost(raw))
	}
	return slices.Min(hosts)
}

// times is a rate that many times as wide.
func (r Rate) times(n int) Rate { return Rate{Events: r.Events * n, Per: r.Per} }
