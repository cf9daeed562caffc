// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

// Client is an MCP client that the operator registers by hand, for programs that
// cannot register themselves or are given an id and a secret to paste. It must not
// be left to guess: a client without secret, jwks and jwks_uri is public, and then
// only its redirect URIs and PKCE stand for it.
type Client struct {
	// ID is the client id the program is given. Letters, digits and `-._` are safe
	// everywhere. It may be the URL of a client ID metadata document: then what is
	// written here counts, and the document is not fetched.
	ID string `json:"id,omitempty"`
	// Name is shown on the consent page. Default: the id.
	Name string `json:"name,omitempty"`
	// Secret is the client secret, at least 16 characters. Write a placeholder,
	// `{env.NAME}` or `{file./path}`: a literal value is shown by the admin API. The
	// client may send it in the header or in the body.
	Secret string `json:"secret,omitempty"`
	// RedirectURIs are where authorization codes may be sent: https, http on
	// loopback with any port, or a private-use scheme. Compared exactly.
	RedirectURIs []string `json:"redirect_uris,omitempty"`
	// GrantTypes are the grants of the client: `authorization_code`, and with it
	// always `refresh_token`. Default: both.
	GrantTypes []string `json:"grant_types,omitempty"`
	// JWKS is the public key set (RFC 7517) of a client that authenticates with
	// signed assertions (`private_key_jwt`), as JSON or as `{file./path}`.
	JWKS string `json:"jwks,omitempty"`
	// JWKSURI is where that key set is published, an https URL at a public address.
	JWKSURI string `json:"jwks_uri,omitempty"`
}

// Values of client_id_documents that are no domains.
const (
	documentsOn  = "on"
	documentsOff = "off"
)

func (a *App) parseDocuments(d *caddyfile.Dispenser) error {
	if err := list(&a.ClientIDDocuments, nil)(d); err != nil {
		return err
	}
	_, err := documentsOf(a.ClientIDDocuments)
	return err
}

// documentsOf reads on, off or domains.
func documentsOf(values []string) (gateway.ClientDocuments, error) {
	switch {
	case len(values) == 0, len(values) == 1 && values[0] == documentsOn:
		return gateway.ClientDocuments{Enabled: true}, nil
	case len(values) == 1 && values[0] == documentsOff:
		return gateway.ClientDocuments{}, nil
	}
	var errs []error
	for _, v := range values {
		switch {
		case v == documentsOn || v == documentsOff:
			errs = append(errs, fmt.Errorf("client_id_documents: %s excludes everything else", v))
		case !gateway.ValidDocumentDomain(v):
			errs = append(errs, fmt.Errorf("client_id_documents: %q is neither on, off nor a host name in lower case such as claude.ai", v))
		}
	}
	return gateway.ClientDocuments{Enabled: true, Domains: values}, errors.Join(errs...)
}

// parseClient reads
//
//	client <id> {
//		name         <text>
//		secret       <placeholder>
//		redirect_uri <uri...>
//		grant        authorization_code [refresh_token]
//		jwks         <json>|<placeholder>
//		jwks_uri     <url>
//	}
func (a *App) parseClient(d *caddyfile.Dispenser) error {
	if d.CountRemainingArgs() != 1 {
		return errors.New("client: write client <id> { … }")
	}
	d.NextArg()
	c, start := Client{ID: d.Val()}, here(d)
	if slices.ContainsFunc(a.Clients, func(o Client) bool { return o.ID == c.ID }) {
		return fmt.Errorf("client %s is given twice", c.ID)
	}
	err := parseOptions(d, "client", optionSet{
		"name":         checked(&c.Name, checkName),
		"secret":       secret(&c.Secret),
		"redirect_uri": list(&c.RedirectURIs, checkRedirectURI),
		"grant":        list(&c.GrantTypes, checkGrantType),
		"jwks":         single(&c.JWKS),
		"jwks_uri":     single(&c.JWKSURI),
	})
	a.Clients = append(a.Clients, c)
	if err == nil && len(c.RedirectURIs) == 0 {
		return start.Errf("client %s: redirect_uri is missing", c.ID)
	}
	return err
}

// checked is single with a check of the value.
func checked(target *string, check func(string) error) option {
	return func(d *caddyfile.Dispenser) error {
		if err := single(target)(d); err != nil {
			return err
		}
		return check(*target)
	}
}

// checkRedirectURI finds mistakes early; one with a placeholder is checked when it
// is resolved.
func checkRedirectURI(s string) error {
	if strings.Contains(s, "{") {
		return nil
	}
	if _, err := oauth.ParseRedirectURI(s); err != nil {
		return fmt.Errorf("%s: %s", s, err.Description)
	}
	return nil
}

func checkGrantType(s string) error {
	switch s {
	case oauth.GrantAuthorizationCode, oauth.GrantRefreshToken:
		return nil
	case "client_credentials":
		return fmt.Errorf("grant %s is not available in this version", s)
	}
	return fmt.Errorf("grant: %q is none of %s, %s", s, oauth.GrantAuthorizationCode, oauth.GrantRefreshToken)
}

// settleClients resolves placeholders and checks what requests will rely on.
func (a *App) settleClients(s *settings) error {
	var err error
	s.documents, err = documentsOf(a.ClientIDDocuments)
	errs := []error{err}
	seen := map[string]bool{}
	for _, c := range a.Clients {
		p, err := a.settleClient(c)
		if err == nil && seen[p.ID] {
			err = errors.New("it is given twice")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("client %s: %w", c.ID, err))
		}
		seen[p.ID] = true
		s.clients = append(s.clients, p)
	}
	return errors.Join(errs...)
}

func (a *App) settleClient(c Client) (gateway.PreregisteredClient, error) {
	p := gateway.PreregisteredClient{Name: c.Name}
	var errs [4]error
	p.ID, errs[0] = expand("id", c.ID)
	p.Secret, errs[1] = expandClientSecret(a, c.Secret)
	p.JWKS, errs[2] = expandJSON("jwks", c.JWKS)
	p.JWKSURI, errs[3] = expand("jwks_uri", c.JWKSURI)
	all := errs[:]
	for _, raw := range c.RedirectURIs {
		uri, err := expand("redirect_uri", raw)
		p.RedirectURIs, all = append(p.RedirectURIs, uri), append(all, err)
	}
	for _, g := range c.GrantTypes {
		all = append(all, checkGrantType(g))
	}
	if len(c.GrantTypes) > 0 && !slices.Contains(c.GrantTypes, oauth.GrantAuthorizationCode) {
		all = append(all, errors.New("grant: authorization_code is missing, the client could do nothing"))
	}
	if err := errors.Join(all...); err != nil {
		return p, err
	}
	return p, gateway.ValidateClient(p)
}

func expandClientSecret(a *App, raw string) (string, error) {
	if raw == "" {
		return "", nil
	}
	return expandSecret(a.logger, "client secret", raw)
}

// expandJSON is expand for a value that may be JSON itself, whose braces are no
// placeholders.
func expandJSON(option, raw string) (string, error) {
	if secretPlaceholder.FindString(raw) == strings.TrimSpace(raw) {
		return expand(option, raw)
	}
	return raw, nil
}
