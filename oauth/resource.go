// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"net/netip"
	"slices"
	"strings"
)

// CanonicalResource returns the form in which resource indicators (RFC 8707 §2)
// are compared (R5.10): scheme and host in lower case, default port, query and
// one trailing slash left out, the path as written. "https://H:443/mcp/?kb=1"
// and "https://h/mcp" are the same resource, "https://h/MCP" is not.
//
// Anything else than an absolute http or https URI without fragment, user
// information, dot segments, empty segments and escaped slashes is
// invalid_target. The result is its own canonical form.
func CanonicalResource(s string) (string, *Error) {
	u, reason := splitURI(s)
	if reason == "" && u.scheme != "https" && u.scheme != "http" {
		reason = "must be an http or https URI"
	}
	if reason == "" {
		reason = u.httpHost()
	}
	if reason == "" && strings.Contains(u.path, "//") {
		reason = "must not have empty path segments"
	}
	if reason != "" {
		return "", NewError(CodeInvalidTarget, "resource %s", reason)
	}
	host := strings.ToLower(u.host)
	if strings.HasPrefix(host, "[") {
		host = "[" + netip.MustParseAddr(host[1:len(host)-1]).String() + "]"
	}
	if u.port != "" && u.port != map[string]string{"https": "443", "http": "80"}[u.scheme] {
		host += ":" + u.port
	}
	return u.scheme + "://" + host + strings.TrimSuffix(u.path, "/"), nil
}

// parseResources reads the `resource` parameters of a request: canonical, each
// once, in order.
func parseResources(p Params) ([]string, *Error) {
	var resources []string
	for _, s := range p.All("resource") {
		r, err := CanonicalResource(s)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(resources, r) {
			resources = append(resources, r)
		}
	}
	return resources, nil
}
