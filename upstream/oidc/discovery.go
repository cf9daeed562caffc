// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// discoveryFresh is how old the provider's metadata may be when a sign-in begins.
const discoveryFresh = 12 * time.Hour

// algorithms are those an id_token may be signed with. All are asymmetric: with a
// client secret for a key, whoever configures the client could sign people in.
var algorithms = []string{"RS256", "ES256", "PS256", "EdDSA"}

// metadata is what a provider says about itself (OpenID Connect Discovery §3).
type metadata struct {
	authURL, tokenURL, keysURL string
	userinfoURL                string   // may be empty
	algorithms                 []string // ours among the provider's
	scopes                     []string // empty if it lists none
	authStyle                  oauth2.AuthStyle
	// issued is whether callbacks name their issuer (RFC 9207 §3).
	issued bool
}

// fetchMetadata gets the discovery document (OpenID Connect Discovery §4). Every
// error is a *upstream.Refusal.
func (o *OIDC) fetchMetadata(ctx context.Context) (*metadata, error) {
	const what = "the discovery document"
	d, err := o.get(ctx, what, strings.TrimSuffix(o.issuer, "/")+"/.well-known/openid-configuration", "")
	if err != nil {
		return nil, err
	}
	switch {
	case d.status == http.StatusNotFound, d.status >= 300 && d.status < 400:
		r := o.statusRefusal(upstream.ReasonMisconfigured, what, d.status, d.header)
		r.Err = fmt.Errorf("%w; is %s the issuer?", r.Err, o.issuer)
		return nil, r
	case d.status != http.StatusOK:
		return nil, o.refuse(what, d)
	}
	doc, err := parseObject(d.body)
	if err != nil {
		return nil, upstream.Refuse(upstream.ReasonUnavailable, "oidc: %s: %w", what, err)
	}
	m, err := o.readMetadata(doc)
	if err != nil {
		return nil, upstream.Refuse(upstream.ReasonMisconfigured, "oidc: %s: %w", what, err)
	}
	return m, nil
}

func (o *OIDC) readMetadata(doc object) (*metadata, error) {
	if issuer, _ := doc.text("issuer"); issuer != o.issuer {
		return nil, fmt.Errorf("it is about issuer %s, and the configuration about %s; %s",
			quote(issuer), o.issuer, o.mismatch(issuer))
	}
	m := &metadata{scopes: doc.list("scopes_supported"), issued: doc.isTrue("authorization_response_iss_parameter_supported")}
	var errs [6]error
	m.authURL, errs[0] = o.endpoint(doc, "authorization_endpoint")
	m.tokenURL, errs[1] = o.endpoint(doc, "token_endpoint")
	m.keysURL, errs[2] = o.endpoint(doc, "jwks_uri")
	if doc.has("userinfo_endpoint") {
		m.userinfoURL, errs[3] = o.endpoint(doc, "userinfo_endpoint")
	}
	m.algorithms, errs[4] = commonAlgorithms(doc)
	m.authStyle, errs[5] = o.style(doc)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return m, nil
}

// endpoint reads the address of an endpoint. It may be on another host than the
// issuer, as Google's are, but must be as safe from readers on the way: plain http
// is for providers on a loopback host, and there only.
func (o *OIDC) endpoint(doc object, name string) (string, error) {
	raw, ok := doc.text(name)
	if !ok {
		return "", fmt.Errorf("it has no %s", name)
	}
	u, err := parseEndpoint(raw)
	if err != nil {
		return "", fmt.Errorf("its %s %w", name, err)
	}
	if u.Scheme == "http" && !(isLoopback(u.Hostname()) && o.onLoopback()) {
		return "", fmt.Errorf("its %s %s is not https", name, quote(raw))
	}
	return u.String(), nil
}

func (s *settled) onLoopback() bool {
	u, err := url.Parse(s.issuer)
	return err == nil && u.Scheme == "http" && isLoopback(u.Hostname())
}

// commonAlgorithms are those id_tokens are signed with and we accept. Every provider
// has RS256, so that is what one means that says nothing.
func commonAlgorithms(doc object) ([]string, error) {
	const name = "id_token_signing_alg_values_supported"
	if !doc.has(name) {
		return []string{"RS256"}, nil
	}
	theirs := doc.list(name)
	common := slices.DeleteFunc(slices.Clone(algorithms), func(a string) bool { return !slices.Contains(theirs, a) })
	if len(common) == 0 {
		return nil, fmt.Errorf("id_tokens are signed with %s; accepted are %s",
			quote(strings.Join(theirs, ", ")), strings.Join(algorithms, ", "))
	}
	return common, nil
}

// style is how the client proves itself at the token endpoint (OpenID Connect Core
// §9). Without a secret it only says who it is.
func (o *OIDC) style(doc object) (oauth2.AuthStyle, error) {
	const name = "token_endpoint_auth_methods_supported"
	methods := doc.list(name)
	switch {
	case o.clientSecret == "", slices.Contains(methods, "client_secret_post") && !slices.Contains(methods, "client_secret_basic"):
		return oauth2.AuthStyleInParams, nil
	case !doc.has(name), slices.Contains(methods, "client_secret_basic"):
		return oauth2.AuthStyleInHeader, nil
	}
	return 0, fmt.Errorf("its token endpoint takes no client secret, but %s", quote(strings.Join(methods, ", ")))
}
