// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/keyset"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// ClientDocuments says whose client ID metadata documents are fetched. The zero
// value fetches none.
type ClientDocuments struct {
	Enabled bool
	// Domains are the hosts whose documents are accepted, in lower case and without
	// their subdomains. Empty means every host.
	Domains []string
}

// PreregisteredClient is a client the operator wrote down. It beats a document or
// a registration of the same id.
type PreregisteredClient struct {
	// ID is visible ASCII.
	ID string
	// Name is shown on the consent page, as registered by the operator. Empty: the
	// id.
	Name string
	// RedirectURIs are where codes may be sent, at least one.
	RedirectURIs []string
	// Secret, JWKS or JWKSURI prove the client; at most one of them. A client
	// without any is public.
	Secret  string
	JWKS    string
	JWKSURI string
}

// ValidDocumentDomain reports whether a host name can be the one of a document.
func ValidDocumentDomain(domain string) bool {
	host, perr := oauth.ClientDocumentHost("https://" + domain + "/document")
	return perr == nil && host == domain
}

// anyAssertions reports whether a client could authenticate with an assertion.
func (s *Server) anyAssertions() bool {
	if s.cfg.ClientDocuments.Enabled {
		return true
	}
	for _, c := range s.configured {
		if c.AuthMethod == oauth.AuthPrivateKeyJWT {
			return true
		}
	}
	return false
}

const minClientSecret = 16

// newConfiguredClients checks the clients of a configuration and makes what
// requests look up. The secret is kept as its hash.
func newConfiguredClients(issuer string, list []PreregisteredClient) (map[string]*client, error) {
	out := make(map[string]*client, len(list))
	var errs []error
	for _, p := range list {
		c, err := newConfiguredClient(issuer, p)
		if err == nil && out[p.ID] != nil {
			err = errors.New("it is configured twice")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("client %q: %w", p.ID, err))
			continue
		}
		out[p.ID] = c
	}
	return out, errors.Join(errs...)
}

// ValidateClient says what is wrong with a client of the configuration, all at
// once, without naming it and without its secret.
func ValidateClient(p PreregisteredClient) error {
	_, err := newConfiguredClient("", p)
	return err
}

func newConfiguredClient(issuer string, p PreregisteredClient) (*client, error) {
	c := &client{source: sourceConfigured, jwksURI: p.JWKSURI, Client: storage.Client{
		Issuer: issuer, ID: p.ID, Name: orElse(p.Name, p.ID), RedirectURIs: slices.Clone(p.RedirectURIs),
		AuthMethod: oauth.AuthNone, GrantTypes: []string{oauth.GrantAuthorizationCode, oauth.GrantRefreshToken},
	}}
	errs := []error{checkConfiguredID(p.ID), checkConfiguredRedirects(p.RedirectURIs)}
	switch proofs := count(p.Secret, p.JWKS, p.JWKSURI); {
	case proofs > 1:
		errs = append(errs, errors.New("secret, jwks and jwks_uri exclude each other"))
	case p.Secret != "":
		c.AuthMethod, c.SecretHash = oauth.AuthBasic, token.Hash(p.Secret)
		errs = append(errs, checkConfiguredSecret(p.ID, p.Secret))
	case p.JWKS != "":
		c.AuthMethod = oauth.AuthPrivateKeyJWT
		var err error
		if c.keys, err = keyset.Parse([]byte(p.JWKS)); err != nil {
			errs = append(errs, fmt.Errorf("jwks: %w", err))
		}
	case p.JWKSURI != "":
		c.AuthMethod = oauth.AuthPrivateKeyJWT
		if perr := oauth.CheckJWKSURI(p.JWKSURI); perr != nil {
			errs = append(errs, errors.New(perr.Description))
		}
	}
	return c, errors.Join(errs...)
}

func count(values ...string) int {
	n := 0
	for _, v := range values {
		if v != "" {
			n++
		}
	}
	return n
}

// checkConfiguredID wants an id that every way of sending it keeps as it is, and
// that no registration can get.
func checkConfiguredID(id string) error {
	switch {
	case id == "":
		return errors.New("the id is missing")
	case !visibleASCII(id) || strings.ContainsAny(id, " \"\\") || len(id) > 512:
		return errors.New("the id has a character that is not visible ASCII, or is too long")
	case strings.HasPrefix(id, token.ClientIDPrefix):
		return fmt.Errorf("ids that begin with %s are for clients that register themselves", token.ClientIDPrefix)
	}
	return nil
}

func checkConfiguredRedirects(uris []string) error {
	if len(uris) == 0 {
		return errors.New("redirect_uri is missing")
	}
	var errs []error
	for _, u := range uris {
		if _, perr := oauth.ParseRedirectURI(u); perr != nil {
			errs = append(errs, fmt.Errorf("%s: %s", u, perr.Description))
		}
	}
	return errors.Join(errs...)
}

// checkConfiguredSecret: Basic separates id and secret by a colon, and not every
// client escapes what it sends.
func checkConfiguredSecret(id, secret string) error {
	switch {
	case len(secret) < minClientSecret:
		return fmt.Errorf("secret: shorter than %d characters", minClientSecret)
	case strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("secret: only visible ASCII characters are possible")
	case url.QueryEscape(id) != id:
		return errors.New("the id of a client with a secret may have letters, digits and - . _ only")
	}
	return nil
}
