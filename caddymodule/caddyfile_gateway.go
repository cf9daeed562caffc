// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

const gatewayDirective = "mcp_gateway"

func init() {
	httpcaddyfile.RegisterDirective(gatewayDirective, parseGateway)
	// Before a catch-all handle, respond or file_server could answer the
	// discovery documents.
	httpcaddyfile.RegisterDirectiveOrder(gatewayDirective, httpcaddyfile.Before, "invoke")
}

// parseGateway sets up the guard and the proxy in one. Syntax:
//
//	mcp_gateway [<path>] <backend...> {
//		name             <text>
//		issuer           <url>
//		allow            <rule...>
//		scopes           <scope...>
//		require_scopes   <scope...>
//		scope_includes   <scope> <included...>
//		also             <path...>
//		identity_headers on|off
//		forward_upstream_token
//		allowed_origins  <origin...>
//		... every subdirective of reverse_proxy
//	}
//
// A backend with a path, as in localhost:3001/mcp, has the path of the resource
// rewritten to its own. Backends on loopback get their own address as Host,
// because MCP servers there refuse other names; set header_up Host to change it.
// Otherwise it does what this does, with less effort:
//
//	route {
//		mcp_oauth <path> {
//			...
//		}
//		@admitted vars mcp_oauth_resource <path>
//		reverse_proxy @admitted <backend...> {
//			...
//		}
//	}
//
// The proxy is inside of the guard and has no path of its own: however a request
// spells its path, the backend sees it only if the guard admitted it.
func parseGateway(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	p := gatewayParser{Helper: h}
	proxy, err := p.parse()
	if err != nil {
		return nil, err
	}
	p.handler.ProxyRaw = caddyconfig.JSONModuleObject(proxy, "handler", "reverse_proxy", nil)
	return oneRoute(caddyhttp.Route{HandlersRaw: []json.RawMessage{p.handler.json()}}), nil
}

// gatewayParser sorts the tokens of one directive into ours and reverse_proxy's.
type gatewayParser struct {
	httpcaddyfile.Helper
	handler  Handler
	backends backendSet
	dynamic  bool
	rest     []caddyfile.Token // for reverse_proxy
	errs     []error
}

func (p *gatewayParser) parse() (*reverseproxy.Handler, error) {
	p.Next() // the name of the directive
	start := here(p.Dispenser)
	p.keep("reverse_proxy")
	p.parseArgs()
	p.parseBlock()
	if len(p.backends.addrs) == 0 && !p.dynamic && len(p.errs) == 0 {
		p.add(start.Errf("%s: the backend is missing; write %s %s localhost:3000", gatewayDirective,
			gatewayDirective, orDefault(p.handler.Path, defaultPath)))
	}
	p.handler.Backends, p.handler.BackendPath = p.backends.addrs, p.backends.path
	p.errs = append(p.errs, p.handler.checkAdapted(start)...)
	proxy, err := p.parseProxy()
	p.add(err)
	if err == nil && p.handler.ForwardUpstreamToken {
		if err := checkForwarding(proxy, p.backends.addrs, p.dynamic); err != nil {
			p.add(start.WrapErr(err))
		}
	}
	return proxy, errors.Join(p.errs...)
}

func (p *gatewayParser) add(err error) {
	if err != nil {
		p.errs = append(p.errs, err)
	}
}

// keep hands the current token to reverse_proxy, with another text.
func (p *gatewayParser) keep(text string) {
	tok := p.Token()
	tok.Text = text
	p.rest = append(p.rest, tok)
}

func (p *gatewayParser) parseArgs() {
	for first := true; p.NextArg(); first = false {
		arg := p.Val()
		switch {
		case first && strings.HasPrefix(arg, "/"):
			p.handler.Path = arg
			continue
		case first && (arg == "*" || strings.HasPrefix(arg, "@")):
			p.add(p.WrapErr(notAPath(gatewayDirective, arg)))
			continue
		case strings.HasPrefix(arg, "/"):
			p.add(p.Errf("%s: unexpected path %q; the path comes first, and further ones go into also", gatewayDirective, arg))
			continue
		}
		p.keepBackend(arg)
	}
}

func (p *gatewayParser) keepBackend(arg string) {
	addr, err := p.backends.add(arg)
	if err != nil {
		p.add(p.WrapErr(err))
		return
	}
	p.keep(addr)
}

// parseBlock takes our subdirectives and leaves the others to reverse_proxy,
// nested blocks included, whatever names appear in them.
func (p *gatewayParser) parseBlock() {
	known := p.handler.options()
	opened := false
	for nesting := p.Nesting(); p.NextBlock(nesting); {
		if !opened {
			// The brace was consumed; it stands on the line of the directive.
			brace := p.rest[len(p.rest)-1]
			brace.Text = "{"
			p.rest = append(p.rest, brace)
			opened = true
		}
		segment := p.NextSegment()
		switch name := segment.Directive(); {
		case known[name] != nil:
			p.add(parseOption(segment, gatewayDirective, known))
		case name == "to":
			p.parseTo(segment)
		default:
			p.dynamic = p.dynamic || name == "dynamic"
			p.rest = append(p.rest, segment...)
		}
	}
	if opened {
		p.keep("}")
	}
}

// parseTo reads backends that are written as a subdirective of reverse_proxy.
func (p *gatewayParser) parseTo(segment caddyfile.Segment) {
	inner := gatewayParser{Helper: p.WithDispenser(caddyfile.NewDispenser(segment)), backends: p.backends}
	inner.Next()
	inner.keep("to")
	for inner.NextArg() {
		inner.keepBackend(inner.Val())
	}
	p.backends = inner.backends
	p.rest = append(p.rest, inner.rest...)
	p.errs = append(p.errs, inner.errs...)
}

// parseProxy lets reverse_proxy read what is its own.
func (p *gatewayParser) parseProxy() (*reverseproxy.Handler, error) {
	proxy := new(reverseproxy.Handler)
	d := caddyfile.NewDispenser(p.rest)
	if err := proxy.UnmarshalCaddyfile(d); err != nil {
		return nil, p.explain(err)
	}
	if err := proxy.FinalizeUnmarshalCaddyfile(p.WithDispenser(d)); err != nil {
		return nil, err
	}
	return proxy, p.setTransport(proxy)
}

// explain adds to reverse_proxy's complaint about an unknown name what is known
// here, and where an option of the global block belongs.
func (p *gatewayParser) explain(err error) error {
	_, name, ok := strings.Cut(err.Error(), "unrecognized subdirective ")
	if !ok {
		return err
	}
	name, _, _ = strings.Cut(name, ",")
	if new(App).options()[name] != nil {
		return fmt.Errorf("%s belongs into the global option %s: %w", name, appName, err)
	}
	return fmt.Errorf("%w; %s knows %s, and every subdirective of reverse_proxy", err, gatewayDirective,
		strings.Join(slices.Sorted(maps.Keys(p.handler.options())), ", "))
}
