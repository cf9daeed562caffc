// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// placement is what the configuration around a handler says about it.
type placement struct {
	server *caddyhttp.Server
	// hosts of the innermost host matcher above the handler.
	hosts []string
	// path is a path matcher above the handler, "" if there is none.
	path string
	// scheme and port the server listens on; port 0 if unclear.
	scheme string
	port   uint
	// unclear says why hosts or port could not be found out.
	unclear error
}

// locate finds the handler that is being provisioned. A directive cannot learn
// the address of its site while the Caddyfile is adapted, so it is looked up in
// the routes of the HTTP server.
func locate(ctx caddy.Context) placement {
	var p placement
	lineage := ctx.Modules()
	app, _ := lineage[0].(*caddyhttp.App)
	p.server, _ = ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if app == nil || p.server == nil {
		p.unclear = errors.New("it is not part of a site")
		return p
	}
	trail, err := currentTrail(p.server, lineage[1:len(lineage)-1])
	if err != nil {
		p.unclear = err
		return p
	}
	p.hosts, p.path = matchers(trail)
	p.scheme, p.port, p.unclear = listener(app, p.server)
	return p
}

// currentTrail returns the routes from the server down to the handler being
// provisioned. parents are the modules between them.
func currentTrail(server *caddyhttp.Server, parents []caddy.Module) ([]*caddyhttp.Route, error) {
	route := currentRoute(server.Routes)
	if route == nil {
		return nil, errors.New("it is in a named route or an error route, which belong to no site")
	}
	trail := []*caddyhttp.Route{route}
	for _, parent := range parents {
		sub, ok := parent.(*caddyhttp.Subroute)
		if !ok {
			return nil, fmt.Errorf("it is inside of %s", parent.CaddyModule().ID)
		}
		route := currentRoute(sub.Routes)
		if route == nil {
			return nil, errors.New("it is in an error route")
		}
		trail = append(trail, route)
	}
	return trail, nil
}

// currentRoute returns the route that is being provisioned: routes are loaded in
// order, and each loses its raw handlers once they are loaded. That is a detail
// of Caddy, so verify checks the outcome before the first request is served.
func currentRoute(routes caddyhttp.RouteList) *caddyhttp.Route {
	for i := range routes {
		if routes[i].HandlersRaw != nil {
			return &routes[i]
		}
	}
	return nil
}

// verify checks that the handler really is where locate found it.
func (p placement) verify(h *Handler) error {
	trail := findTrail(p.server.Routes, h)
	hosts, path := matchers(trail)
	if trail == nil || !slices.Equal(hosts, p.hosts) || path != p.path {
		return errors.New("the host name of this site was not found out correctly; write it out with the option issuer")
	}
	return nil
}

// findTrail searches loaded routes for a handler.
func findTrail(routes caddyhttp.RouteList, target *Handler) []*caddyhttp.Route {
	for i := range routes {
		for _, handler := range routes[i].Handlers {
			if handler == caddyhttp.MiddlewareHandler(target) {
				return []*caddyhttp.Route{&routes[i]}
			}
			sub, ok := handler.(*caddyhttp.Subroute)
			if !ok {
				continue
			}
			if rest := findTrail(sub.Routes, target); rest != nil {
				return append([]*caddyhttp.Route{&routes[i]}, rest...)
			}
		}
	}
	return nil
}

// matchers returns the hosts of the innermost routes that all their matcher sets
// limit to hosts, and the first path matcher.
func matchers(trail []*caddyhttp.Route) (hosts []string, path string) {
	for _, route := range trail {
		var level []string
		limited := len(route.MatcherSets) > 0
		for _, set := range route.MatcherSets {
			setHosts, setPath := matchersOf(set)
			limited = limited && len(setHosts) > 0
			level = append(level, setHosts...)
			if path == "" {
				path = setPath
			}
		}
		if limited {
			hosts = level
		}
	}
	return hosts, path
}

func matchersOf(set caddyhttp.MatcherSet) (hosts []string, path string) {
	for _, m := range set {
		switch m := m.(type) {
		case *caddyhttp.MatchHost:
			for _, h := range *m {
				hosts = append(hosts, strings.ToLower(strings.Trim(h, "[]")))
			}
		case *caddyhttp.MatchPath:
			path = strings.Join(*m, " ")
		case *caddyhttp.MatchPathRE:
			path = m.Pattern
		case *caddyhttp.MatchExpression:
			if strings.Contains(m.Expr, "path") {
				path = m.Expr
			}
		}
	}
	return hosts, path
}
