// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/netip"
	"time"
)

// observation is everything that was asked and answered. Checks and walks read
// nothing else.
type observation struct {
	target Target
	// now is when the first answer arrived, by the clock here.
	now       time.Time
	addresses []netip.Addr
	lookupErr error

	// bare are requests to the MCP URL without a token, by method, as clients send
	// them; modern is how clients of the revision 2026-07-28 begin.
	bare   map[string]*Exchange
	modern *Exchange
	// badToken carries a token that is none.
	badToken *Exchange
	// slash is the bare POST to the address with the other trailing slash.
	slash *Exchange

	browser browserObservation

	// resource is the metadata at the path-inserted address, rootResource that at
	// the root, slashResource that of the other trailing slash. named is what the
	// challenge points to: one of these, or a document of its own, or nil.
	resource, rootResource, slashResource, named *document
	// servers are the metadata documents of each authorization server, in the
	// order clients try them.
	servers map[string][]*document
	// others are well-known addresses at which nothing needs to be.
	others []*Exchange
	// guessed are the addresses clients use where there is no metadata, by path.
	guessed map[string]*Exchange
	// token is a refresh with made-up values at the token endpoint.
	token *Exchange

	registerPublic, registerSecret *registration
}

// browserObservation is what a web page sees.
type browserObservation struct {
	// origin is the page that was admitted: that of MCP Inspector, or the server's
	// own where Inspector's is refused.
	origin string
	// preflight is of the MCP URL for Inspector's page, own for the server's own
	// page; nil if it was not needed.
	preflight, own *Exchange
	// post is the bare POST with Origin.
	post *Exchange
	// endpoints are preflights of the registration and token endpoints.
	endpoints []*Exchange
}

// inspectorOrigin is where MCP Inspector's page runs.
const inspectorOrigin = "http://localhost:6274"

// first is the answer everything about the connection is read from.
func (o *observation) first() *Exchange { return o.bare[methodPost] }

// challengeHeader is WWW-Authenticate of the first answer.
func (o *observation) challengeHeader() []string {
	if e := o.first(); e.Err == nil {
		return e.Header.Values("WWW-Authenticate")
	}
	return nil
}

// serverURL is the authorization server that clients use: the first of the
// document they read, or the origin where there is none.
func (o *observation) serverURL() string {
	for _, d := range []*document{o.named, o.resource, o.rootResource} {
		if list := d.list("authorization_servers"); len(list) > 0 {
			return list[0]
		}
	}
	return o.target.Origin
}

// server is the authorization server metadata that is read first, or nil.
func (o *observation) server() *document {
	for _, d := range o.servers[o.serverURL()] {
		if d.readable() {
			return d
		}
	}
	return nil
}
