// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

const (
	googleIssuer = "https://accounts.google.com"
	// googleBareIssuer is how Google's id_tokens may name it as well (OpenID Connect
	// Core §15.6.2). No other provider is forgiven this.
	googleBareIssuer = "accounts.google.com"
)

// entraHosts are the clouds of Microsoft Entra.
var entraHosts = []string{
	"login.microsoftonline.com",
	"login.microsoftonline.us",
	"login.partner.microsoftonline.cn",
}

func (s *settled) isGoogle() bool { return s.issuer == googleIssuer }

func (s *settled) isEntra() bool {
	u, err := url.Parse(s.issuer)
	return err == nil && slices.Contains(entraHosts, strings.ToLower(u.Hostname()))
}

// isIssuer compares the iss of an id_token.
func (s *settled) isIssuer(iss string) bool {
	return iss == s.issuer || s.isGoogle() && iss == googleBareIssuer
}

// checkEntraIssuer refuses Entra's endpoints for several tenants. Their tokens name
// the tenant each user comes from, and anybody can have one: a group or an address
// would mean something else for each of them.
func checkEntraIssuer(u *url.URL) error {
	if !slices.Contains(entraHosts, strings.ToLower(u.Hostname())) {
		return nil
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	switch strings.ToLower(tenant) {
	case "common", "organizations":
		return fmt.Errorf("issuer %q stands for the users of every tenant, and anybody can make one; "+
			"write https://%s/<directory (tenant) id>/v2.0", u, u.Host)
	case "consumers":
		return fmt.Errorf("issuer %q is an alias; the issuer of personal accounts is "+
			"https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0", u)
	}
	return nil
}

// mismatch explains an issuer that is not the configured one, which is the
// commonest mistake of all.
func (s *settled) mismatch(found string) string {
	switch {
	case strings.ContainsAny(found, "{}"):
		return "which stands for several tenants; write the issuer of one tenant"
	case strings.TrimSuffix(found, "/") == strings.TrimSuffix(s.issuer, "/"):
		return "the slash at the end matters; write the issuer as the provider does"
	}
	return "write the issuer as the provider does, if that is the right one"
}
