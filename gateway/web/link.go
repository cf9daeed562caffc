// SPDX-License-Identifier: Apache-2.0

package web

import (
	"errors"
	"html/template"
	"net/url"
	"slices"
	"strings"
)

var errUnsafeLink = errors.New("link withheld: not an address to offer on a page")

// Schemes that a link of ours never has: they run or show content in the browser,
// reach into its insides, or start something other than an OAuth client. The
// redirect URIs behind our links were refused these at registration; this is the
// second lock on the same door (design decision 8).
var (
	refusedSchemes = []string{
		"about", "android-app", "blob", "brave", "data", "edge", "file", "filesystem", "ftp", "intent", "jar",
		"javascript", "mailto", "opera", "res", "resource", "shortcuts", "sms", "tel", "vbscript", "view-source",
		"vivaldi", "ws", "wss",
	}
	refusedSchemePrefixes = []string{"chrome", "itms", "microsoft-edge", "moz-", "ms-", "search", "x-apple"}
)

// safeHref checks an address and marks it as safe for a template. It accepts
// absolute URIs, private-use schemes included, and paths of our own origin.
func safeHref(href string) (template.URL, error) {
	for i := range len(href) {
		// Browsers drop tabs and line ends inside a scheme, and read \ as /.
		if c := href[i]; c <= ' ' || c > '~' || c == '\\' {
			return "", errUnsafeLink
		}
	}
	u, err := url.Parse(href)
	if err != nil || u.User != nil {
		return "", errUnsafeLink
	}
	switch {
	case u.Scheme == "" && strings.HasPrefix(href, "/") && !strings.HasPrefix(href, "//"):
	case u.Scheme == "http" || u.Scheme == "https":
		if u.Host == "" {
			return "", errUnsafeLink
		}
	case u.Scheme == "" || refusedScheme(u.Scheme):
		return "", errUnsafeLink
	}
	return template.URL(href), nil //nolint:gosec // that is what the checks above are for
}

// refusedScheme takes a scheme in lower case, as url.Parse leaves it. What a
// compound one does, "view-source+https", is decided by its parts.
func refusedScheme(scheme string) bool {
	for part := range strings.SplitSeq(scheme, "+") {
		if slices.Contains(refusedSchemes, part) ||
			slices.ContainsFunc(refusedSchemePrefixes, func(p string) bool { return strings.HasPrefix(part, p) }) {
			return true
		}
	}
	return false
}
