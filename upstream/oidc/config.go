// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// defaultGroupsClaim is where most providers list groups.
const defaultGroupsClaim = "groups"

// Config is one OpenID Connect upstream as the operator writes it.
type Config struct {
	// Name is the configured name, a path segment. Required: there is no name that
	// fits every provider, and it becomes part of every subject.
	Name string
	// Issuer is the provider's issuer identifier, exactly as its discovery document
	// says it, a slash at the end included. Plain http only on a loopback host.
	Issuer string
	// ClientID is the client's identifier at the provider.
	ClientID string
	// ClientSecret is the client's secret. Empty for a public client, which proves
	// itself with PKCE alone.
	ClientSecret string
	// Scopes replace the default, "openid profile email". "openid" is asked for in
	// any case.
	Scopes []string
	// GroupsClaim is the claim with the user's groups: its name, or a path of names
	// joined with dots. Default "groups".
	GroupsClaim string
	// Offline asks for a refresh token, with which a user can be looked at again who
	// is not there. Most providers have the user agree to that.
	Offline bool
	// HTTPClient replaces the client that is used, except that redirects are never
	// followed and a request never takes longer than ten seconds. The default
	// honours the proxy environment variables.
	HTTPClient *http.Client
	// Logger gets what an operator may have to know about sign-ins that succeed. Nil
	// discards it. Failures are returned, not logged.
	Logger *slog.Logger
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
}

// settled is a checked configuration with its defaults filled in.
type settled struct {
	name, issuer           string
	clientID, clientSecret string
	scopes                 []string // with openid, without offline_access
	chosen                 bool     // the operator chose the scopes
	offline                bool
	groupsClaim            string
	wantsGroups            bool // the operator named the claim
}

func (c Config) settle() (settled, error) {
	s := settled{
		name: c.Name, issuer: c.Issuer,
		clientID: c.ClientID, clientSecret: c.ClientSecret,
		offline:     c.Offline,
		groupsClaim: c.GroupsClaim,
		wantsGroups: c.GroupsClaim != "",
	}
	if s.groupsClaim == "" {
		s.groupsClaim = defaultGroupsClaim
	}
	errs := []error{
		checkName(c.Name),
		CheckIssuer(c.Issuer),
		checkCredential("client_id", c.ClientID),
		checkGroupsClaim(s.groupsClaim),
		s.settleScopes(c.Scopes),
	}
	if c.ClientSecret != "" {
		errs = append(errs, checkCredential("client_secret", c.ClientSecret))
	}
	if err := errors.Join(errs...); err != nil {
		return settled{}, fmt.Errorf("oidc upstream %q: %w", c.Name, err)
	}
	return s, nil
}

func checkName(name string) error {
	if name == "" {
		return errors.New("the name is missing; write oidc <name>, because the name becomes part of the callback URL and of every user's identity")
	}
	for i := range len(name) {
		c := name[i]
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alnum && c != '-' && c != '_' {
			return fmt.Errorf("name %q: use letters, digits, - and _, because it becomes part of the callback URL", name)
		}
	}
	if len(name) > 100 {
		return errors.New("the name is longer than 100 characters")
	}
	return nil
}

// CheckIssuer checks an issuer identifier as far as that is possible without the
// network (OpenID Connect Discovery §3). It is kept as it is written: issuers are
// compared byte for byte.
func CheckIssuer(raw string) error {
	if raw == "" {
		return errors.New("issuer is missing or empty")
	}
	u, err := parseEndpoint(raw)
	switch {
	case err != nil:
		return fmt.Errorf("issuer %w", err)
	case strings.ContainsAny(u.Path, "{}"):
		return fmt.Errorf("issuer %q contains a placeholder; write the tenant's own identifier in its place", raw)
	case u.RawQuery != "", u.ForceQuery:
		return fmt.Errorf("issuer %q must have no query", raw)
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return fmt.Errorf("issuer %q must be https: keys, the client secret and tokens travel there", raw)
	}
	if strings.Contains(raw, "/.well-known/") {
		return fmt.Errorf("issuer %q is the address of a document; write the part before /.well-known/", raw)
	}
	return checkEntraIssuer(u)
}

// parseEndpoint reads an absolute URL. Its errors continue the name of an option,
// and do not quote what may hold a password.
func parseEndpoint(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("is not a URL")
	}
	switch {
	case u.User != nil:
		return nil, errors.New("must not contain a user name or password")
	case u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "", u.Opaque != "":
		return nil, fmt.Errorf("%s must be an absolute URL such as https://login.example.com", quote(raw))
	case u.Fragment != "", strings.Contains(raw, "#"):
		return nil, fmt.Errorf("%s must have no fragment", quote(raw))
	}
	return u, nil
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

func checkGroupsClaim(path string) error {
	if len(path) > maxText || text(path) != path || slices.Contains(strings.Split(path, "."), "") {
		return fmt.Errorf("groups_claim %s is not the name of a claim, nor names joined with dots", quote(path))
	}
	return nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
