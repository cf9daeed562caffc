// SPDX-License-Identifier: Apache-2.0

package github

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
)

const (
	defaultHost = "github.com"
	defaultBase = "https://github.com"
	defaultAPI  = "https://api.github.com"
)

// Config is one GitHub upstream as the operator writes it.
type Config struct {
	// Name is the configured name, a path segment. Default "github".
	Name string
	// ClientID and ClientSecret are the OAuth app's. Both are required: a web
	// application is a confidential client at GitHub even with PKCE.
	ClientID     string
	ClientSecret string
	// Scopes are asked for besides those that signing in needs.
	Scopes []string
	// BaseURL is where people sign in. Default https://github.com; plain http
	// only on a loopback host.
	BaseURL string
	// APIURL is the root of the REST API. Default https://api.github.com for
	// github.com, https://api.<host> under ghe.com, else <BaseURL>/api/v3 as
	// GitHub Enterprise Server has it.
	APIURL string
	// Needs says which memberships to load: the union of what the policies of
	// all resources need.
	Needs policy.Needs
	// HTTPClient replaces the client that is used, except that redirects are
	// never followed and a request never takes longer than ten seconds. The
	// default honours the proxy environment variables.
	HTTPClient *http.Client
	// Logger gets what an operator may have to know about sign-ins that
	// succeed. Nil discards it. Failures are returned, not logged.
	Logger *slog.Logger
}

// settled is a checked configuration with its defaults filled in.
type settled struct {
	name      string
	base, api *url.URL
	scopes    []string
}

func (c Config) settle() (settled, error) {
	s := settled{name: c.Name}
	if s.name == "" {
		s.name = identity.KindGitHub
	}
	var errs []error
	if !isPathSegment(s.name) {
		errs = append(errs, fmt.Errorf("name %q: use letters, digits, - and _, because it becomes part of the callback URL", s.name))
	}
	if err := checkCredential("client_id", c.ClientID); err != nil {
		errs = append(errs, err)
	}
	if err := checkCredential("client_secret", c.ClientSecret); err != nil {
		errs = append(errs, err)
	}
	var err error
	if s.base, s.api, err = c.urls(); err != nil {
		errs = append(errs, err)
	}
	if s.scopes, err = c.scopes(); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return settled{}, fmt.Errorf("github upstream %q: %w", s.name, errors.Join(errs...))
	}
	return s, nil
}

// checkCredential never quotes the value: it may be the secret, or a secret
// pasted into the wrong option.
func checkCredential(option, value string) error {
	if value == "" {
		return fmt.Errorf("%s is missing or empty", option)
	}
	for i := range len(value) {
		if value[i] <= ' ' || value[i] > '~' {
			return fmt.Errorf("%s contains a blank or a character outside ASCII; is there a line break at its end?", option)
		}
	}
	if strings.ContainsAny(value, "{}") {
		return fmt.Errorf("%s contains an unresolved placeholder", option)
	}
	return nil
}

func (c Config) urls() (base, api *url.URL, err error) {
	base, baseErr := parseRoot("base_url", orDefault(c.BaseURL, defaultBase))
	if baseErr != nil {
		return nil, nil, baseErr
	}
	def := defaultAPI
	switch {
	case base.Host == defaultHost:
	case strings.HasSuffix(base.Host, ".ghe.com"):
		def = base.Scheme + "://api." + base.Host
	default:
		def = base.JoinPath("api/v3").String()
	}
	api, err = parseRoot("api_url", orDefault(c.APIURL, def))
	return base, api, err
}

// parseRoot reads an absolute URL that others are built on.
func parseRoot(option, raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// The parser's error repeats the input, which may hold a password.
		return nil, fmt.Errorf("%s is not a URL", option)
	}
	switch {
	case u.User != nil:
		return nil, fmt.Errorf("%s must not contain a user name or password", option)
	case u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "", u.Opaque != "":
		return nil, fmt.Errorf("%s %q must be an absolute URL such as https://ghe.example.com", option, raw)
	case u.RawQuery != "", u.ForceQuery, u.Fragment != "", strings.Contains(raw, "#"):
		return nil, fmt.Errorf("%s %q must have no query and no fragment", option, raw)
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, fmt.Errorf("%s %q must be https: the client secret and tokens travel there", option, raw)
	}
	u.Host = strings.ToLower(u.Host)
	if port := u.Port(); u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" || strings.HasSuffix(u.Host, ":") {
		u.Host = strings.TrimSuffix(u.Host, ":"+port)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	return u, nil
}

// scopes is the least that signing in takes, plus what the operator adds.
func (c Config) scopes() ([]string, error) {
	scopes := []string{"read:user", "user:email"}
	if c.Needs.Orgs || c.Needs.Teams {
		scopes = append(scopes, scopeReadOrg)
	}
	for _, extra := range c.Scopes {
		if !isScope(extra) {
			return nil, fmt.Errorf("scopes: %q is not one scope; write them separated by blanks", extra)
		}
		if !slices.Contains(scopes, extra) {
			scopes = append(scopes, extra)
		}
	}
	return scopes, nil
}

// isScope accepts a scope-token of RFC 6749 §3.3 without the comma, which
// GitHub separates with.
func isScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' || c == ',' {
			return false
		}
	}
	return s != ""
}

func isPathSegment(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alnum && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 100
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
