// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
)

const (
	defaultPath  = "/mcp"
	defaultScope = "mcp"
)

func init() { caddy.RegisterModule(Handler{}) }

// Handler protects one MCP server with OAuth, as the MCP authorization
// specification asks for. It answers the OAuth endpoints and discovery documents
// of its site, refuses requests without a valid token for this resource, and
// hands the others on with the user's identity. Requests that are not about the
// resource or the endpoints pass through untouched, except that identity headers
// a client made up are removed from every request.
//
// Place it without a path matcher around it: the discovery documents are at
// `/.well-known/…` of the site.
//
// Without a proxy of its own, what follows this handler must be limited to requests
// it admitted, because requests for other paths pass through it. It sets the variable
// `mcp_oauth_resource` to the path of the resource on admitted requests only, for the
// matcher `vars`.
//
// On admitted requests these placeholders are available:
//
// Placeholder | Description
// ------------|-------------
// `{http.auth.user.id}` | Stable subject, such as `github:583231`
// `{http.auth.user.login}` | Login name, which may change
// `{http.auth.user.name}` | Display name
// `{http.auth.user.email}` | Primary address, only if verified
// `{http.auth.user.groups}` | Groups that were loaded for the allow rules, comma-separated
// `{http.mcp_oauth.client_id}` | The OAuth client
// `{http.mcp_oauth.scope}` | The granted scopes
// `{http.mcp_oauth.resource}` | The resource, such as `https://mcp.example.com/mcp`
type Handler struct {
	// Path of the resource. It covers everything below it too. Of several
	// resources the longest path wins. Default: `/mcp`.
	Path string `json:"path,omitempty"`
	// Also are further paths of the same resource, for the legacy HTTP+SSE
	// transport: `/sse` and `/messages`.
	Also []string `json:"also,omitempty"`
	// Name is shown to users on the consent page. Default: the host name and path.
	Name string `json:"name,omitempty"`
	// Issuer is the public origin of this site, such as
	// `https://mcp.example.com`. Default: the app's, or else derived from the host
	// matcher above this handler, whose every exact host is then its own issuer.
	Issuer string `json:"issuer,omitempty"`
	// Allow is who may use this resource; it replaces the app's rules. Any one
	// suffices. `any` lets in everybody who can sign in.
	Allow []string `json:"allow,omitempty"`
	// Scopes of the resource. Default: one scope, `mcp`.
	Scopes []string `json:"scopes,omitempty"`
	// RequireScopes are scopes that every request's token must have. One that
	// lacks some is answered with 403 and a challenge, upon which clients sign in
	// again and ask for them. The scopes must cover them. Default: none; the
	// backend sees what was granted in X-Mcp-Scope.
	RequireScopes []string `json:"require_scopes,omitempty"`
	// ScopeIncludes maps a scope to those it includes: a token with the first
	// need not have the others. A scope that is only named here is granted to
	// clients that ask for it, and advertised to none.
	ScopeIncludes map[string][]string `json:"scope_includes,omitempty"`
	// IdentityHeaders says whether the backend is told who calls, in
	// X-Forwarded-User and others. Default: true.
	IdentityHeaders *bool `json:"identity_headers,omitempty"`
	// ForwardUpstreamToken sends the user's own token at their identity provider to
	// the backend, in Authorization, for MCP servers that act for the user there.
	// The consent page says so. The backend must be reached over https, a unix
	// socket or loopback. Default: false; the backend gets no token at all.
	ForwardUpstreamToken bool `json:"forward_upstream_token,omitempty"`
	// AllowedOrigins are origins of web pages that may call this resource,
	// besides the site's own.
	AllowedOrigins []string `json:"allowed_origins,omitempty"`
	// Backends are the addresses of the MCP server behind this handler, so that
	// redirects to them can be made public. Set by `mcp_gateway`.
	Backends []string `json:"backends,omitempty"`
	// BackendPath replaces the path on the way to the backend. Default: not
	// rewritten.
	BackendPath string `json:"backend_path,omitempty"`
	// ProxyRaw is the handler that admitted requests for this resource go to, and no
	// other request does: a `reverse_proxy`. With the transport `mcp_oauth` its
	// requests get their identity headers when they are sent, unless the proxy's
	// options name one of them. Set by `mcp_gateway`. Default: none; requests go to
	// the handlers that follow.
	ProxyRaw json.RawMessage `json:"proxy,omitempty" caddy:"namespace=http.handlers inline_key=handler"`

	proxy caddyhttp.MiddlewareHandler
	// deferIdentity leaves the identity headers to the proxy's transport.
	deferIdentity bool

	app    *App
	logger *slog.Logger
	// issuers by the host of a request. The Host only selects; nothing is ever
	// composed from it.
	issuers map[string]string
	// own matches the paths of this resource.
	own []caddyhttp.MatchPath
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers." + appName,
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision checks the resource, finds out the issuer and joins the app's table.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Slogger()
	if h.Path == "" {
		h.Path = defaultPath
	}
	mod, err := ctx.App(appName)
	if err != nil {
		return err
	}
	h.app = mod.(*App)
	where := locate(ctx)
	if err := h.loadProxy(ctx); err != nil {
		return fmt.Errorf("%s: %w", h.title(where), err)
	}
	if err := h.join(where); err != nil {
		return fmt.Errorf("%s: %w", h.title(where), err)
	}
	return nil
}

// title names site and directive, as mistakes that only provisioning can see
// have no line.
func (h *Handler) title(where placement) string {
	directive := "mcp_oauth"
	if len(h.Backends) > 0 {
		directive = "mcp_gateway"
	}
	site := strings.Join(where.hosts, ", ")
	if site == "" {
		site = "without host name"
	}
	return fmt.Sprintf("site %s, %s %s", site, directive, h.Path)
}

func (h *Handler) join(where placement) error {
	resource, err := h.resource()
	errs := []error{err}
	origins, err := h.origins(where)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	h.issuers = selectable(origins, where.hosts)
	for _, p := range append([]string{h.Path}, h.Also...) {
		h.own = append(h.own, pathMatcher(p))
	}
	fingerprint, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return h.app.register(&site{
		handler: h, where: where, origins: origins, resource: resource, fingerprint: string(fingerprint),
	})
}

// origins are the issuers of this handler: the explicit one, or one for every
// host of the site.
func (h *Handler) origins(where placement) ([]origin, error) {
	explicit := h.app.settings.issuer
	if h.Issuer != "" {
		o, err := explicitIssuer(h.Issuer)
		if err != nil {
			return nil, err
		}
		explicit = o
	}
	if explicit == nil {
		return where.derive()
	}
	if where.path != "" {
		h.logger.Warn("a path matcher above this handler may hide the discovery documents and OAuth endpoints from it",
			"path", where.path, "issuer", explicit.url)
	}
	return []origin{*explicit}, nil
}

// selectable maps every host that clients may use to its issuer. With an
// explicit issuer these are its own host and those of the site: what the site
// is called behind a proxy is no secret and changes nothing.
func selectable(origins []origin, hosts []string) map[string]string {
	m := map[string]string{}
	if len(origins) == 1 {
		for _, host := range hosts {
			if exactHost(host) {
				m[host] = origins[0].url
			}
		}
	}
	for _, o := range origins {
		m[o.host] = o.url
	}
	return m
}

// resource checks the options and builds what the gateway protects.
func (h *Handler) resource() (*gateway.Resource, error) {
	errs := checkPaths(h.Path, h.Also, h.BackendPath)
	scopes := h.Scopes
	if len(scopes) == 0 {
		scopes = []string{defaultScope}
	}
	for _, s := range scopes {
		errs = append(errs, checkScope(s))
	}
	for _, o := range h.AllowedOrigins {
		errs = append(errs, checkAllowedOrigin(o))
	}
	if h.Name != "" {
		errs = append(errs, checkName(h.Name))
	}
	if h.ForwardUpstreamToken {
		errs = append(errs, h.app.canForward())
	}
	allow := h.Allow
	if len(allow) == 0 {
		allow = h.app.Allow
	}
	if len(allow) == 0 {
		errs = append(errs, errNoAllow)
		return nil, errors.Join(errs...)
	}
	pol, err := h.app.policyOf(allow)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	return &gateway.Resource{
		Path:            h.Path,
		Also:            h.Also,
		Name:            h.Name,
		Scopes:          scopes,
		RequireScopes:   h.RequireScopes,
		ScopeIncludes:   h.ScopeIncludes,
		Policy:          pol,
		IdentityHeaders: h.IdentityHeaders == nil || *h.IdentityHeaders,
		DeferIdentity:   h.deferIdentity,
		AllowedOrigins:  h.AllowedOrigins,
		Backends:        withoutDefaultPorts(h.Backends),
		BackendPath:     h.BackendPath,

		ForwardUpstreamToken: h.ForwardUpstreamToken,
	}, nil
}

var errNoAllow = errors.New(`nobody is allowed: add a line such as "allow user:octocat", "allow org:acme" or "allow local:alice" ` +
	`to its block or to the global option mcp_oauth; "allow any" lets in everybody who can sign in`)

// withoutDefaultPorts adds the names a backend has in its own URLs, where the
// default port is left out.
func withoutDefaultPorts(addrs []string) []string {
	all := append([]string(nil), addrs...)
	for _, a := range addrs {
		for _, port := range []string{":80", ":443"} {
			if bare, ok := strings.CutSuffix(a, port); ok {
				all = append(all, bare)
			}
		}
	}
	return all
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
