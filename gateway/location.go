// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// publishLocation makes a redirect usable from outside: one that names the
// backend's own address, or the public host with another scheme, is put on the
// issuer's origin, and the backend's path is put back to the public one. Any other
// is left byte for byte as it is.
func (g *Guard) publishLocation(h http.Header, matched string) {
	loc := h.Get("Location")
	if loc == "" {
		return
	}
	u, err := url.Parse(loc)
	if err != nil {
		return
	}
	if changed, _ := g.publish(u, matched); changed {
		h.Set("Location", u.String())
	}
}

// publish puts a URL of the backend's on the issuer's origin and its path on the
// public one. It is not ok, and nothing is changed, for a URL that leads elsewhere.
func (g *Guard) publish(u *url.URL, matched string) (changed, ok bool) {
	absolute := u.Host != ""
	if u.Opaque != "" || !absolute && (u.Scheme != "" || u.User != nil) || absolute && !g.namesUs(u) {
		return false, false
	}
	changed = g.publishPath(u, matched)
	if absolute && (u.Scheme != g.scheme || u.Host != g.host || u.User != nil) {
		u.Scheme, u.Host, u.User = g.scheme, g.host, nil
		changed = true
	}
	return changed, true
}

// namesUs reports whether an absolute URL is on the public host or on a backend.
func (g *Guard) namesUs(u *url.URL) bool {
	if s := strings.ToLower(u.Scheme); s != "" && s != "http" && s != "https" {
		return false
	}
	host := withoutDefaultPort(u.Host)
	return strings.EqualFold(host, withoutDefaultPort(g.host)) || slices.ContainsFunc(g.cfg.Backends, func(b string) bool {
		return strings.EqualFold(host, withoutDefaultPort(b))
	})
}

// withoutDefaultPort drops the port of either scheme: the backend need not know
// which one its address was meant with.
func withoutDefaultPort(host string) string {
	return strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":80")
}

// publishPath puts the public prefix for the backend's. A rest that begins with
// two slashes is left alone: behind the root path it would name another host.
func (g *Guard) publishPath(u *url.URL, matched string) (changed bool) {
	if g.cfg.BackendPath == "" {
		return false
	}
	escaped := u.EscapedPath()
	rest, ok := cutPathPrefix(escaped, (&url.URL{Path: g.cfg.BackendPath}).EscapedPath())
	if !ok || strings.HasPrefix(rest, "//") {
		return false
	}
	public := joinPath((&url.URL{Path: matched}).EscapedPath(), rest)
	path, err := url.PathUnescape(public)
	if err != nil || public == escaped {
		return false
	}
	u.Path, u.RawPath = path, public
	return true
}
