// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// Well-known prefixes of RFC 9728, RFC 8414 and OpenID Connect Discovery.
const (
	wellKnownResource = "/.well-known/oauth-protected-resource"
	wellKnownServer   = "/.well-known/oauth-authorization-server"
	wellKnownOpenID   = "/.well-known/openid-configuration"
)

// ErrURL is wrapped by the errors of an address that cannot be examined.
var ErrURL = errors.New("not the URL of an MCP server")

// Target is the MCP server under examination.
type Target struct {
	// URL is the address as typed. Clients compare it byte for byte.
	URL string
	// Origin is scheme and host as typed, Path the escaped path, "" or rooted.
	Origin, Path string

	parsed *url.URL
}

// ParseTarget reads an address. Credentials in it are refused, in the authority
// and in the query: they would be sent, printed and kept in logs.
func ParseTarget(address string) (Target, error) {
	if len(address) > 2048 {
		return Target{}, fmt.Errorf("%w: longer than 2048 bytes", ErrURL)
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return Target{}, fmt.Errorf("%w: %s is malformed", ErrURL, printable(address))
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Hostname() == "":
		return Target{}, fmt.Errorf("%w: write it in full, for example https://mcp.example.com/mcp", ErrURL)
	case u.User != nil:
		return Target{}, fmt.Errorf("%w: a user or a password in it would be sent and printed; leave it out", ErrURL)
	case u.Fragment != "" || strings.HasSuffix(address, "#"):
		return Target{}, fmt.Errorf("%w: it has a fragment, which is never sent", ErrURL)
	}
	for name := range u.Query() {
		if secretName(name) {
			return Target{}, fmt.Errorf("%w: its query carries %q, which looks like a secret; leave it out", ErrURL, printable(name))
		}
	}
	return Target{URL: address, Origin: u.Scheme + "://" + u.Host, Path: u.EscapedPath(), parsed: u}, nil
}

// secretName reports whether a query parameter is likely to be a credential.
func secretName(name string) bool {
	name = strings.ToLower(strings.NewReplacer("-", "", "_", "", ".", "").Replace(name))
	for _, s := range []string{"token", "secret", "password", "apikey", "authorization", "credential", "signature"} {
		if strings.Contains(name, s) {
			return true
		}
	}
	return name == "key" || name == "auth" || name == "sig" || name == "code"
}

// insert puts a well-known segment before the path (RFC 9728 §3.1).
func (t Target) insert(prefix string) string {
	if t.Path == "/" {
		return t.Origin + prefix
	}
	return t.Origin + prefix + t.Path
}

// inserted reports whether an address is the path-inserted one. At the root, the
// slash of the path may have stayed.
func (t Target) inserted(address string) bool {
	want := normalised(t.insert(wellKnownResource))
	got := normalised(address)
	return got == want || (t.Path == "" || t.Path == "/") && got == want+"/"
}

// otherSlash is the same address with or without its trailing slash; "" where
// there is no path to speak of.
func (t Target) otherSlash() (Target, bool) {
	if t.Path == "" || t.Path == "/" {
		return Target{}, false
	}
	path := t.Path + "/"
	if strings.HasSuffix(t.Path, "/") {
		path = strings.TrimSuffix(t.Path, "/")
	}
	address := t.Origin + path
	if t.parsed.RawQuery != "" {
		address += "?" + t.parsed.RawQuery
	}
	other, err := ParseTarget(address)
	return other, err == nil
}

// withoutQuery is what remains of the address where a client drops its query.
func (t Target) withoutQuery() string { return t.Origin + t.Path }

func (t Target) https() bool { return t.parsed.Scheme == "https" }

func (t Target) loopback() bool { return loopbackHost(t.parsed.Hostname()) }

// loopbackHost knows the names that clients allow plain http for.
func loopbackHost(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// originOf is the scheme, host and port that browsers compare, in lower case and
// without the default port; "" for what has none.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" && (scheme != "https" || port != "443") && (scheme != "http" || port != "80") {
		host += ":" + port
	}
	return scheme + "://" + host
}

func sameOrigin(a, b string) bool { return originOf(a) != "" && originOf(a) == originOf(b) }

// secureURL reports whether clients will use the address: https, or loopback.
func secureURL(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && loopbackHost(u.Hostname()))
}

// normalised is the form the URL class of browsers and Node gives an address.
func normalised(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return address
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	out := originOf(address) + path
	if u.RawQuery != "" {
		out += "?" + u.RawQuery
	}
	return out
}
