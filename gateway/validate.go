// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// validate reports everything that is wrong at once.
func (c *Config) validate() error {
	errs := []error{ValidateIssuer(c.Issuer)}
	if len(c.Resources) == 0 {
		errs = append(errs, errors.New("no resource to protect"))
	}
	errs = append(errs, c.validateResources()...)
	errs = append(errs, c.validateUpstreams()...)
	if c.AccessTokenTTL <= 0 || c.RefreshTokenTTL < c.AccessTokenTTL || c.RefreshGrace < 0 {
		errs = append(errs, errors.New("token lifetimes: want 0 < access_token_ttl <= refresh_token_ttl, refresh_grace >= 0"))
	}
	switch c.Registration.Mode {
	case RegistrationOpen, RegistrationOff:
	case RegistrationToken:
		if len(c.Registration.Token) < 16 {
			errs = append(errs, errors.New("registration token: want at least 16 characters"))
		}
	default:
		errs = append(errs, fmt.Errorf("registration: unknown mode %q", c.Registration.Mode))
	}
	for _, d := range c.ClientDocuments.Domains {
		if !ValidDocumentDomain(d) {
			errs = append(errs, fmt.Errorf("client_id_documents: %q is no host name in lower case", d))
		}
	}
	return errors.Join(errs...)
}

// ValidateIssuer checks that an issuer is a bare origin as clients will compare
// it: scheme and host in lower case, no default port, nothing after it (R1.1,
// R3.3); https, or http on a loopback host (R1.5).
func ValidateIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return fmt.Errorf("issuer %q: want https://host", issuer)
	}
	if u.Scheme+"://"+u.Host != issuer {
		return fmt.Errorf("issuer %q: want the bare origin %s://%s, without path, query or trailing slash", issuer, u.Scheme, u.Host)
	}
	if strings.ToLower(issuer) != issuer {
		return fmt.Errorf("issuer %q: want lower case", issuer)
	}
	if p := u.Port(); strings.HasSuffix(u.Host, ":") || u.Scheme == "https" && p == "443" || u.Scheme == "http" && p == "80" {
		return fmt.Errorf("issuer %q: leave the default port out", issuer)
	}
	if u.Scheme == "http" && !isLoopbackHost(u.Hostname()) {
		return fmt.Errorf("issuer %q: plain http is for loopback hosts only, tokens would travel in the clear", issuer)
	}
	if !canonical(issuer) {
		return fmt.Errorf("issuer %q: want a host name in ASCII (xn--…), without wildcard, placeholder or trailing dot", issuer)
	}
	return nil
}

// canonical reports whether an identifier is written as resource parameters are
// compared. One that is not could be asked for by no client.
func canonical(identifier string) bool {
	c, perr := oauth.CanonicalResource(identifier)
	return perr == nil && c == identifier
}

// plainPath accepts "/" and rooted paths without a trailing slash that mean the
// same to everybody: no escapes, patterns, dot or empty segments, parameters.
func plainPath(p string) bool {
	return strings.HasPrefix(p, "/") && (p == "/" || !strings.HasSuffix(p, "/")) &&
		!strings.ContainsAny(p, "%;?") && canonical("https://host"+strings.TrimSuffix(p, "/"))
}

func (c *Config) validateResources() []error {
	var errs []error
	seen := map[string]bool{}
	for _, r := range c.Resources {
		for _, p := range append([]string{r.Path}, r.Also...) {
			switch key := strings.ToLower(p); {
			case !plainPath(p):
				errs = append(errs, fmt.Errorf("path %q: want a plain path such as /mcp", p))
			case ReservedPath(p):
				errs = append(errs, fmt.Errorf("path %q belongs to the gateway's own endpoints", p))
			case seen[key]:
				errs = append(errs, fmt.Errorf("path %q is protected twice", p))
			default:
				seen[key] = true
			}
		}
		if r.Policy == nil {
			errs = append(errs, fmt.Errorf("resource %s: nobody is allowed; add a line such as `allow user:octocat`", r.Path))
		}
		if len(r.Scopes) == 0 {
			errs = append(errs, fmt.Errorf("resource %s: no scopes", r.Path))
		}
		errs = append(errs, r.validateRequired())
		if r.ForwardUpstreamToken && !slices.ContainsFunc(c.Upstreams, hasTokens) {
			errs = append(errs, fmt.Errorf("resource %s: forward_upstream_token: no upstream has tokens", r.Path))
		}
		for _, sc := range r.Scopes {
			if !oauth.ValidScopeToken(sc) || sc == oauth.ScopeOfflineAccess {
				errs = append(errs, fmt.Errorf("resource %s: %q cannot be a scope of a resource", r.Path, sc))
			}
		}
	}
	return errs
}

// validateRequired also keeps a challenge from asking for what nobody gets, and
// clients from being refused that asked for all they were told of.
func (r *Resource) validateRequired() error {
	if err := r.ScopeIncludes.Check(); err != nil {
		return fmt.Errorf("resource %s: scope_includes: %w", r.Path, err)
	}
	if missing := r.ScopeIncludes.Missing(r.Scopes, r.RequireScopes); missing != nil {
		return fmt.Errorf("resource %s: require_scopes: scopes do not cover %s, so every client would be refused first",
			r.Path, oauth.FormatScope(missing))
	}
	return nil
}

// hasTokens: who signs in with a password gets no token anywhere.
func hasTokens(up upstream.Upstream) bool {
	_, ok := up.(upstream.Redirector)
	return ok
}

func (c *Config) validateUpstreams() []error {
	var errs []error
	if len(c.Upstreams) == 0 {
		errs = append(errs, errors.New("no upstream to sign in with; add github or local to the global mcp_oauth block"))
	}
	seen := map[string]bool{}
	for _, up := range c.Upstreams {
		if seen[up.Name()] {
			errs = append(errs, fmt.Errorf("upstream %q is configured twice", up.Name()))
		}
		seen[up.Name()] = true
		switch up.(type) {
		case upstream.Redirector, upstream.PasswordChecker:
		default:
			errs = append(errs, fmt.Errorf("upstream %q offers no way to sign in", up.Name()))
		}
	}
	return errs
}
