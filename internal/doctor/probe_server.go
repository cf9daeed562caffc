// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// serverDocuments fetches the metadata of the authorization servers that some
// client may come to use: the named ones' first, and the origin.
func (p *prober) serverDocuments(ctx context.Context) {
	p.o.servers = map[string][]*document{}
	candidates := []string{p.o.target.Origin}
	for _, d := range []*document{p.o.named, p.o.resource, p.o.rootResource} {
		if list := d.list("authorization_servers"); len(list) > 0 {
			candidates = append(candidates, list[0])
		}
	}
	for _, issuer := range candidates {
		if _, done := p.o.servers[issuer]; done {
			continue
		}
		p.o.servers[issuer] = nil
		for _, address := range serverMetadataURLs(issuer) {
			e := &Exchange{Method: http.MethodGet, URL: address, Err: errNotFetched}
			if p.mayFetch(ctx, address) {
				e = p.metadata(ctx, address)
			}
			p.o.servers[issuer] = append(p.o.servers[issuer], newDocument(e))
		}
	}
}

// serverMetadataURLs are the addresses clients try for an issuer, in order (MCP
// authorization, Authorization Server Metadata Discovery).
func serverMetadataURLs(issuer string) []string {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" {
		return nil
	}
	origin, path := u.Scheme+"://"+u.Host, strings.TrimSuffix(u.EscapedPath(), "/")
	if path == "" {
		return []string{origin + wellKnownServer, origin + wellKnownOpenID}
	}
	return []string{origin + wellKnownServer + path, origin + wellKnownOpenID + path, origin + path + wellKnownOpenID}
}

// otherWellKnowns asks where clients look besides: those that take the MCP URL
// for an issuer, and those that want OpenID Connect.
func (p *prober) otherWellKnowns(ctx context.Context) {
	t := p.o.target
	addresses := []string{t.Origin + wellKnownOpenID}
	if path := strings.TrimSuffix(t.Path, "/"); path != "" {
		addresses = append(addresses, t.Origin+wellKnownServer+path, t.Origin+wellKnownOpenID+path, t.Origin+path+wellKnownOpenID)
	}
	for _, address := range addresses {
		p.o.others = append(p.o.others, p.metadata(ctx, address))
	}
}

// endpoints looks at what the metadata names, or at what clients guess without.
func (p *prober) endpoints(ctx context.Context) {
	d := p.o.server()
	if d == nil {
		p.o.guessed = map[string]*Exchange{}
		for _, path := range []string{"/authorize", "/token", "/register"} {
			p.o.guessed[path] = p.do(ctx, http.MethodGet, p.o.target.Origin+path, "")
		}
		return
	}
	for _, name := range []string{"registration_endpoint", "token_endpoint"} {
		if address := d.str(name); address != "" && p.mayFetch(ctx, address) {
			e := p.preflight(ctx, address, inspectorOrigin, methodPost, "content-type")
			p.o.browser.endpoints = append(p.o.browser.endpoints, e)
		}
	}
	if address := d.str("token_endpoint"); address != "" && p.mayFetch(ctx, address) {
		form := url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {noToken}, "client_id": {"caddy-mcp-oauth-doctor"},
		}
		p.o.token = p.do(ctx, methodPost, address, form.Encode(),
			"Content-Type", "application/x-www-form-urlencoded", "Accept", "application/json")
	}
}
