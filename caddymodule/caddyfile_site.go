// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterDirective(appName, parseGuard)
	// Before anything that answers or changes a request for its own reasons, and
	// before encode: answers of the endpoints are not compressed.
	httpcaddyfile.RegisterDirectiveOrder(appName, httpcaddyfile.Before, "basic_auth")
}

// parseGuard sets up the guard alone; the handlers of the protected server
// follow in the site. Syntax:
//
//	mcp_oauth [<path>] {
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
//	}
//
// The path is /mcp unless given. Requests for other paths pass through: limit
// the handlers that follow to the same path, or use mcp_gateway.
func parseGuard(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // the name of the directive
	start := here(h.Dispenser)
	handler := new(Handler)
	var errs []error
	for i, arg := range h.RemainingArgs() {
		switch {
		case i > 0:
			errs = append(errs, h.Errf("mcp_oauth takes one path and no backend, unexpected %q; "+
				"mcp_gateway protects and proxies in one", arg))
		case strings.HasPrefix(arg, "/"):
			handler.Path = arg
		default:
			errs = append(errs, h.WrapErr(notAPath("mcp_oauth", arg)))
		}
	}
	errs = append(errs, parseOptions(h.Dispenser, appName, handler.options()))
	errs = append(errs, handler.checkAdapted(start)...)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return oneRoute(caddyhttp.Route{HandlersRaw: []json.RawMessage{handler.json()}}), nil
}

// here remembers the position of the current token, for errors that are found
// after the whole directive was read.
func here(d *caddyfile.Dispenser) *caddyfile.Dispenser {
	start := caddyfile.NewDispenser([]caddyfile.Token{d.Token()})
	start.Next()
	return start
}

// notAPath explains what stands in the place of the path.
func notAPath(directive, arg string) error {
	switch {
	case arg == "*":
		return fmt.Errorf("%s protects one path and what is below it, not *; write / to protect the whole site", directive)
	case strings.HasPrefix(arg, "@"):
		return fmt.Errorf("%s takes no matcher such as %s: its discovery documents must be reachable; write a path such as /mcp", directive, arg)
	}
	return fmt.Errorf("%s: %q is not a path; a path begins with a slash, as in /mcp", directive, arg)
}

// options are the subdirectives that both site directives have.
func (h *Handler) options() optionSet {
	return optionSet{
		"name":             single(&h.Name),
		"issuer":           issuerOption(&h.Issuer),
		"allow":            list(&h.Allow, checkRule),
		"scopes":           list(&h.Scopes, checkScope),
		"require_scopes":   list(&h.RequireScopes, checkScope),
		"scope_includes":   h.parseScopeIncludes,
		"also":             list(&h.Also, nil), // checked together with the path
		"identity_headers": h.parseIdentityHeaders,

		"forward_upstream_token": h.parseForwardUpstreamToken,

		"allowed_origins": list(&h.AllowedOrigins, checkAllowedOrigin),
	}
}

// parseScopeIncludes reads one scope and those it includes; a further line is for
// another scope.
func (h *Handler) parseScopeIncludes(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 {
		return errors.New("scope_includes: write a scope and those it includes, as in scope_includes mcp:admin mcp:read")
	}
	var errs []error
	for _, s := range args {
		errs = append(errs, checkScope(s))
	}
	if _, twice := h.ScopeIncludes[args[0]]; twice {
		errs = append(errs, fmt.Errorf("scope_includes: %q is given twice, list what it includes on one line", args[0]))
	}
	if h.ScopeIncludes == nil {
		h.ScopeIncludes = map[string][]string{}
	}
	h.ScopeIncludes[args[0]] = args[1:]
	return errors.Join(errs...)
}

func (h *Handler) parseIdentityHeaders(d *caddyfile.Dispenser) error {
	if h.IdentityHeaders != nil {
		return errors.New("identity_headers is given twice")
	}
	var v string
	if !d.AllArgs(&v) || v != "on" && v != "off" {
		return errors.New("identity_headers: write on or off")
	}
	on := v == "on"
	h.IdentityHeaders = &on
	return nil
}

func (h *Handler) parseForwardUpstreamToken(*caddyfile.Dispenser) error {
	if h.ForwardUpstreamToken {
		return errors.New("forward_upstream_token is given twice")
	}
	h.ForwardUpstreamToken = true
	return nil
}

// checkAdapted completes the handler and checks its options against each other.
func (h *Handler) checkAdapted(d *caddyfile.Dispenser) []error {
	h.Path = orDefault(h.Path, defaultPath)
	errs := checkPaths(h.Path, h.Also, h.BackendPath)
	if h.Name != "" {
		errs = append(errs, checkName(h.Name))
	}
	for i, err := range errs {
		if err != nil {
			errs[i] = d.WrapErr(err)
		}
	}
	return errs
}

func (h *Handler) json() json.RawMessage {
	return caddyconfig.JSONModuleObject(h, "handler", appName, nil)
}

func oneRoute(route caddyhttp.Route) []httpcaddyfile.ConfigValue {
	return []httpcaddyfile.ConfigValue{{Class: "route", Value: route}}
}
