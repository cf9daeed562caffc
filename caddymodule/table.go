// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// table is the complete configuration: every issuer with all its resources. It
// is immutable, so requests share it without locks.
type table struct {
	issuers map[string]*issuer
	// hosts of all issuers: a request for a known host is never misdirected.
	hosts map[string]bool
}

// build opens the state and completes the table. See App.open.
func (a *App) build() (*table, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return nil, errStopped
	}
	sites := slices.Clone(a.sites)
	slices.SortStableFunc(sites, func(x, y *site) int { return compareServers(x.where, y.where) })
	if err := verifyAll(sites); err != nil {
		return nil, err
	}
	ups, err := a.buildUpstreams(sites)
	if err != nil {
		return nil, err
	}
	ring, err := a.ring()
	if err != nil {
		return nil, err
	}
	shared, err := acquireState(a.engine, stateUser{
		app: a, ring: ring, logger: a.logger, allowed: judge(sites), recheck: a.recheck(sites, ups),
		maxStaleness: a.settings.maxStaleness,
	})
	if err != nil {
		return nil, err
	}
	t, err := a.complete(shared.state, sites, ups)
	if err != nil {
		return nil, errors.Join(err, shared.release(a))
	}
	a.shared = shared
	return t, nil
}

// compareServers brings servers into the order in which the Caddyfile adapter
// numbers them: srv2 before srv10.
func compareServers(a, b placement) int {
	x, y := a.serverName(), b.serverName()
	return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y))
}

func (p placement) serverName() string {
	if p.server == nil {
		return ""
	}
	return p.server.Name()
}

func verifyAll(sites []*site) error {
	for _, s := range sites {
		if s.where.unclear != nil || s.where.server == nil {
			continue // the issuer is explicit
		}
		if err := s.where.verify(s.handler); err != nil {
			return fmt.Errorf("%s: %w", s.handler.title(s.where), err)
		}
	}
	return nil
}

// buildUpstreams makes each upstream look up what all resources need of it: one
// sign-in serves them all.
func (a *App) buildUpstreams(sites []*site) ([]upstream.Upstream, error) {
	ups := make([]upstream.Upstream, 0, len(a.upstream))
	for _, p := range a.upstream {
		var needs policy.Needs
		for _, s := range sites {
			needs = needs.Union(s.resource.Policy.Needs(p.Ref().Name))
		}
		if o, ok := p.(OfflineAsker); ok {
			o.AskOffline(a.settings.recheck > 0 || forwards(sites))
		}
		up, err := p.Build(needs, a.logger)
		if err != nil {
			return nil, err
		}
		ups = append(ups, up)
	}
	return ups, nil
}

// ring is the configured keys or the generated one.
func (a *App) ring() (*token.Ring, error) {
	keys := a.settings.keys
	if len(keys) == 0 {
		k, err := generatedKey(a.engine)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return token.NewRing(keys[0], keys[1:]...), nil
}

// generatedKey is the key beside the state. One that is missing where there is state
// already got lost: a new one would open nothing of it.
func generatedKey(engine StorageEngine) (token.Key, error) {
	file := engine.KeyFile()
	if e, ok := engine.(StateHolder); ok && e.HasState() {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return token.Key{}, fmt.Errorf("%w: its key file %s is missing, belongs to the state and must be restored with it, "+
				"or encryption_key has to name the key. To start empty, move the state away", gateway.ErrWrongKey, file)
		}
	}
	return token.LoadOrCreateKey(file)
}

// judge decides about open streams after a reload. A resource that is no longer
// protected allows nobody.
func judge(sites []*site) func(string, identity.Identity) bool {
	policies := map[string]*policy.Policy{}
	for _, s := range sites {
		for _, o := range s.origins {
			for _, p := range append([]string{s.resource.Path}, s.resource.Also...) {
				policies[o.url+strings.TrimSuffix(p, "/")] = s.resource.Policy
			}
		}
	}
	return func(resource string, id identity.Identity) bool { return policies[resource].Allows(id) }
}

// recheck says how people who signed in are looked at again.
func (a *App) recheck(sites []*site, ups []upstream.Upstream) gateway.Recheck {
	return gateway.Recheck{
		Interval: a.settings.recheck, Outage: a.settings.outage, Upstreams: ups,
		Forwards: forwards(sites), Allowed: judge(sites),
	}
}

// forwards reports whether some backend gets tokens of users.
func forwards(sites []*site) bool {
	return slices.ContainsFunc(sites, func(s *site) bool { return s.resource.ForwardUpstreamToken })
}

// complete builds the server of every issuer.
func (a *App) complete(state *gateway.State, sites []*site, ups []upstream.Upstream) (*table, error) {
	t := &table{issuers: map[string]*issuer{}, hosts: map[string]bool{}}
	resources := map[string][]*gateway.Resource{}
	for _, s := range sites {
		for host, url := range s.handler.issuers {
			t.hosts[host] = true
			if _, ok := resources[url]; !ok {
				resources[url] = resourcesOf(sites, url)
			}
		}
	}
	var errs []error
	for url, list := range resources {
		server, err := gateway.New(state, gateway.Config{
			Issuer:          url,
			Resources:       list,
			Upstreams:       ups,
			Allowed:         judge(sites),
			AccessTokenTTL:  a.settings.accessTTL,
			RefreshTokenTTL: a.settings.refreshTTL,
			RefreshGrace:    a.settings.grace,
			Registration:    a.settings.registration,
			ClientDocuments: a.settings.documents,
			Clients:         a.settings.clients,
			Limits:          a.settings.limits,
			ClientAddr:      clientAddr,
			Logger:          a.logger,
		})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		t.issuers[url] = newIssuer(server, list)
	}
	return t, errors.Join(errs...)
}

// resourcesOf lists the resources of an issuer in the order they were written,
// each once.
func resourcesOf(sites []*site, url string) []*gateway.Resource {
	var list []*gateway.Resource
	for _, s := range sites {
		if !slices.ContainsFunc(s.origins, func(o origin) bool { return o.url == url }) {
			continue
		}
		if slices.ContainsFunc(list, func(r *gateway.Resource) bool { return r.Path == s.resource.Path }) {
			continue
		}
		list = append(list, s.resource)
	}
	return list
}

// clientAddr honours the trusted proxies of the server.
func clientAddr(r *http.Request) string {
	if ip, ok := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string); ok && ip != "" {
		return ip
	}
	return r.RemoteAddr
}
