// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/url"
	"strings"
)

// Rules by which clients compare `resource` with the address they connect to. All
// are given the address as typed; root says that the document is the one at the
// root of the host.

// exactBytes is RFC 9728 §3.3 to the letter: the Go SDK's rule.
func exactBytes(t Target, resource string, root bool) bool {
	if !root {
		return resource == t.URL
	}
	want := t.Origin
	if t.parsed.RawQuery != "" {
		want += "?" + t.parsed.RawQuery // it only takes the path away
	}
	return resource == want
}

// exactPath compares scheme, host and path, slash included, whatever the
// document: Gemini CLI's rule.
func exactPath(t Target, resource string, _ bool) bool {
	u := *t.parsed
	u.RawQuery = ""
	return resource == strings.TrimSuffix(normalised(u.String()), "?")
}

// normalisedResource compares after URL normalisation: VS Code's rule.
func normalisedResource(t Target, resource string, _ bool) bool {
	return normalised(resource) == normalised(t.URL)
}

// prefixResource accepts the origin and every path above: the TypeScript SDKs'
// rule.
func prefixResource(t Target, resource string, _ bool) bool {
	u, err := url.Parse(resource)
	if err != nil || !sameOrigin(resource, t.URL) {
		return false
	}
	asked, got := withSlash(t.Path), withSlash(u.EscapedPath())
	return len(orSlash(t.Path)) >= len(orSlash(u.EscapedPath())) && strings.HasPrefix(asked, got)
}

// sameResource ignores query and trailing slash; the root document may name the
// origin.
func sameResource(t Target, resource string, root bool) bool {
	resource, _, _ = strings.Cut(resource, "?")
	trim := func(s string) string { return strings.TrimSuffix(normalised(s), "/") }
	return trim(resource) == trim(t.withoutQuery()) || root && trim(resource) == trim(t.Origin)
}

func withSlash(path string) string { return strings.TrimSuffix(path, "/") + "/" }

func orSlash(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// Rules by which clients compare the issuer of the metadata with the address they
// fetched it for.

func issuerExact(expected, got string) bool { return expected == got }

// issuerIgnoringSlash is the Go SDK's.
func issuerIgnoringSlash(expected, got string) bool {
	return strings.TrimSuffix(expected, "/") == strings.TrimSuffix(got, "/")
}

// issuerForgivingSlash is the TypeScript SDK's: only the document may lack one.
func issuerForgivingSlash(expected, got string) bool {
	return expected == got || strings.HasSuffix(expected, "/") && got == strings.TrimSuffix(expected, "/")
}
