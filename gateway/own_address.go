// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/url"
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

// namesOwnHost reports whether one of the redirect URIs is on this issuer's own
// host, on any port. A stranger's client that sends people there borrows our name:
// the consent page would show it as the place where the answer goes, and whatever
// behind it redirects or echoes would hand the code on. Only a client that the
// operator wrote into the configuration may live there.
//
// An issuer on loopback shares its host with every program of the machine, MCP
// clients first of all: there the port tells them apart, see ownAddress.
func (s *Server) namesOwnHost(redirectURIs []string) bool {
	issuer, err := url.Parse(s.cfg.Issuer)
	if err != nil || isLoopbackHost(issuer.Hostname()) {
		return false
	}
	for _, raw := range redirectURIs {
		u, err := url.Parse(raw)
		if err == nil && u.Scheme == "https" && strings.EqualFold(u.Hostname(), issuer.Hostname()) {
			return true
		}
	}
	return false
}

// ownAddress reports whether an answer that is sent to the URI would come back to
// us. It is asked for the URI of the request: the port of a registered loopback
// URI is anybody's.
func (s *Server) ownAddress(redirectURI string) bool {
	if s.namesOwnHost([]string{redirectURI}) {
		return true
	}
	u, err := url.Parse(redirectURI)
	issuer, issuerErr := url.Parse(s.cfg.Issuer)
	if err != nil || issuerErr != nil {
		return true // never so for a URI that matched a registered one
	}
	kind, perr := oauth.ParseRedirectURI(redirectURI)
	return perr == nil && kind == oauth.RedirectLoopback && issuer.Scheme == "http" &&
		isLoopbackHost(issuer.Hostname()) && portOf(u) == portOf(issuer)
}

func portOf(u *url.URL) string {
	return orElse(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
}
