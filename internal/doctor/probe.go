// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"
)

const (
	methodPost = http.MethodPost

	initializeBody = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25",` +
		`"capabilities":{},"clientInfo":{"name":"caddy-mcp-oauth-doctor","version":"1"}}}`
	discoverBody = `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{` +
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},` +
		`"io.modelcontextprotocol/clientInfo":{"name":"caddy-mcp-oauth-doctor","version":"1"}}}}`
	accept = "application/json, text/event-stream"

	// noToken has the form of an access token and is none.
	noToken = "this-is-not-a-token.caddy-mcp-oauth-doctor"
)

// prober asks the questions.
type prober struct {
	*fetcher
	lookup func(context.Context, string) ([]netip.Addr, error)
	now    func() time.Time
	o      *observation
}

// observe asks everything. It stops early where nothing answers.
func (p *prober) observe(ctx context.Context, register bool) *observation {
	p.o.addresses, p.o.lookupErr = p.lookup(ctx, p.o.target.parsed.Hostname())
	p.guard(ctx)
	if p.o.first().Err != nil {
		return p.o
	}
	p.browser(ctx)
	p.resourceDocuments(ctx)
	p.serverDocuments(ctx)
	p.otherWellKnowns(ctx)
	p.endpoints(ctx)
	if register {
		p.register(ctx)
	}
	return p.o
}

// guard calls the MCP URL as clients do before they have a token.
func (p *prober) guard(ctx context.Context) {
	t := p.o.target
	post := func(address, body string, header ...string) *Exchange {
		return p.do(ctx, methodPost, address, body, append([]string{"Content-Type", "application/json", "Accept", accept}, header...)...)
	}
	first := post(t.URL, initializeBody)
	p.o.now = p.now()
	p.o.bare = map[string]*Exchange{methodPost: first}
	if first.Err != nil {
		return
	}
	p.o.bare[http.MethodGet] = p.do(ctx, http.MethodGet, t.URL, "", "Accept", accept)
	p.o.bare[http.MethodHead] = p.do(ctx, http.MethodHead, t.URL, "", "Accept", "application/json")
	var session []string
	if id := first.Header.Get("Mcp-Session-Id"); id != "" {
		session = []string{"Mcp-Session-Id", id} // a server without a guard opened one: end it
	}
	p.o.bare[http.MethodDelete] = p.do(ctx, http.MethodDelete, t.URL, "", session...)
	p.o.modern = post(t.URL, discoverBody, "MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "server/discover")
	p.o.badToken = post(t.URL, initializeBody, "Authorization", "Bearer "+noToken)
	if other, ok := t.otherSlash(); ok {
		p.o.slash = post(other.URL, initializeBody)
	}
}

// browser calls the MCP URL as a web page does.
func (p *prober) browser(ctx context.Context) {
	b, address := &p.o.browser, p.o.target.URL
	b.origin = inspectorOrigin
	b.preflight = p.preflight(ctx, address, b.origin, methodPost, "authorization,content-type,mcp-protocol-version")
	if !b.preflight.corsFrom(b.origin) {
		own := originOf(address)
		b.own = p.preflight(ctx, address, own, methodPost, "authorization,content-type,mcp-protocol-version")
		if b.own.corsFrom(own) {
			b.origin = own
		}
	}
	b.post = p.do(ctx, methodPost, address, initializeBody,
		"Content-Type", "application/json", "Accept", accept, "Origin", b.origin)
}

func (p *prober) preflight(ctx context.Context, address, origin, method, headers string) *Exchange {
	return p.do(ctx, http.MethodOptions, address, "", "Origin", origin,
		"Access-Control-Request-Method", method, "Access-Control-Request-Headers", headers)
}

// metadata fetches a document as an SDK in a web page does.
func (p *prober) metadata(ctx context.Context, address string) *Exchange {
	return p.get(ctx, address, "Accept", "application/json", "MCP-Protocol-Version", "2025-11-25", "Origin", inspectorOrigin)
}

func (p *prober) resourceDocuments(ctx context.Context) {
	t := p.o.target
	documents := map[string]*document{}
	fetch := func(address string) *document {
		if documents[address] == nil {
			documents[address] = newDocument(p.metadata(ctx, address))
		}
		return documents[address]
	}
	p.o.resource = fetch(t.insert(wellKnownResource))
	p.o.rootResource = fetch(t.Origin + wellKnownResource)
	if other, ok := t.otherSlash(); ok {
		p.o.slashResource = fetch(other.insert(wellKnownResource))
	}
	for _, reading := range []func([]string) string{parsedReading, firstWordReading, quotedReading} {
		if address := reading(p.o.challengeHeader()); address != "" {
			if p.mayFetch(ctx, address) {
				p.o.named = fetch(address)
			} else {
				p.o.named = newDocument(&Exchange{Method: http.MethodGet, URL: address, Err: errNotFetched})
			}
			return
		}
	}
}

// mayFetch decides about addresses that the server named. Its own origin is what
// we came for. Elsewhere it must be https, and a server on the internet must not
// send us to an address of the network we are in.
func (p *prober) mayFetch(ctx context.Context, address string) bool {
	if sameOrigin(address, p.o.target.URL) {
		return true
	}
	u, err := url.Parse(address)
	if err != nil || u.User != nil || !secureURL(address) {
		return false
	}
	addrs, err := p.lookup(ctx, u.Hostname())
	if err != nil || len(addrs) == 0 {
		return false
	}
	return !slices.ContainsFunc(addrs, private) || slices.ContainsFunc(p.o.addresses, private)
}

// private reports whether an address cannot be reached from the internet.
func private(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a.IsMulticast() ||
		carrierNAT.Contains(a)
}

// carrierNAT is the shared address space of RFC 6598, which Tailscale uses too.
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")
