// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
)

// issuer is one authorization server and the paths of its resources.
type issuer struct {
	server *gateway.Server
	rules  []rule // longest path first
	exact  map[string]*rule
}

// rule leads from a configured path to its resource.
type rule struct {
	path     string
	resource string // path of the resource
	matcher  caddyhttp.MatchPath
	guard    *gateway.Guard
}

func newIssuer(server *gateway.Server, resources []*gateway.Resource) *issuer {
	iss := &issuer{server: server, exact: map[string]*rule{}}
	for _, res := range resources {
		for _, p := range append([]string{res.Path}, res.Also...) {
			iss.rules = append(iss.rules, rule{
				path: p, resource: res.Path, matcher: pathMatcher(p), guard: server.Guard(res.Path),
			})
		}
	}
	slices.SortStableFunc(iss.rules, func(a, b rule) int { return cmp.Compare(len(b.path), len(a.path)) })
	for i := range iss.rules {
		iss.exact[iss.rules[i].path] = &iss.rules[i]
	}
	return iss
}

// pathMatcher covers a path and everything below it, in every spelling that
// Caddy's own matcher takes for the same: case, doubled slashes, dot segments.
func pathMatcher(p string) caddyhttp.MatchPath {
	if p == "/" {
		return caddyhttp.MatchPath{"*"}
	}
	p = strings.ToLower(p)
	return caddyhttp.MatchPath{p, p + "/*"}
}

// match returns the rule for a request, nil if its path is not protected. An
// exact match needs no search: no longer path can match.
func (i *issuer) match(r *http.Request) *rule {
	if m, ok := i.exact[r.URL.Path]; ok {
		return m
	}
	for j := range i.rules {
		if i.rules[j].matcher.Match(r) {
			return &i.rules[j]
		}
	}
	return nil
}
