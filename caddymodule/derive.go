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

// addIssuer is the mend of everything that cannot be derived.
const addIssuer = `add "issuer https://<public host name>"`

// derive composes the issuers from the site's host names, one for each. Nothing
// is guessed: clients compare the issuer with the address they use, byte for
// byte, and tokens are bound to it.
func (p placement) derive() ([]origin, error) {
	switch {
	case p.path != "":
		return nil, fmt.Errorf("the path matcher %q above it would hide the discovery documents under /.well-known; "+
			"move the directive out of it, to the top of the site", p.path)
	case p.unclear != nil:
		return nil, fmt.Errorf("cannot tell its public address: %w; %s", p.unclear, addIssuer)
	case len(p.hosts) == 0:
		return nil, fmt.Errorf("cannot tell its public address: the site has no host name; "+
			"write it in the site address, or %s", addIssuer)
	}
	var origins []origin
	var errs []error
	for _, host := range p.hosts {
		o, err := p.deriveOne(host)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !slices.Contains(origins, o) {
			origins = append(origins, o)
		}
	}
	return origins, errors.Join(errs...)
}

func (p placement) deriveOne(host string) (origin, error) {
	if !exactHost(host) {
		return origin{}, fmt.Errorf("cannot tell its public address from %q, which is no single host name; %s", host, addIssuer)
	}
	o, err := newOrigin(p.scheme, host, p.port)
	if err != nil {
		return origin{}, fmt.Errorf("%w: tokens would travel in the clear; let Caddy serve https, "+
			"or, if TLS ends at a proxy in front of Caddy, add \"issuer https://%s\"", err, host)
	}
	return o, nil
}

// exactHost is false for wildcards and placeholders.
func exactHost(host string) bool { return isHostname(host) }

// listener returns the one scheme and port a server is reached at.
func listener(app *caddyhttp.App, server *caddyhttp.Server) (scheme string, port uint, err error) {
	for _, listen := range server.Listen {
		addr, err := caddy.ParseNetworkAddress(listen)
		if err != nil {
			return "", 0, fmt.Errorf("listener %q: %w", listen, err)
		}
		if addr.StartPort == 0 {
			return "", 0, fmt.Errorf("the server listens on %s, which has no port", listen)
		}
		if addr.StartPort != addr.EndPort || port != 0 && port != addr.StartPort {
			return "", 0, fmt.Errorf("the server listens on several ports (%s)", strings.Join(server.Listen, " "))
		}
		port = addr.StartPort
	}
	if port == 0 {
		return "", 0, errors.New("the server has no listener")
	}
	// The HTTP app has decided about automatic HTTPS before it provisions
	// handlers: where it applies there are TLS connection policies. The HTTP port
	// never speaks TLS.
	httpPort := uint(caddyhttp.DefaultHTTPPort)
	if app.HTTPPort != 0 {
		httpPort = uint(app.HTTPPort)
	}
	if len(server.TLSConnPolicies) > 0 && port != httpPort {
		return "https", port, nil
	}
	return "http", port, nil
}
