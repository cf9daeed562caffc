// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"net/url"
	"strings"
)

// checkPath refuses what a backend may read as another path than the one that was
// matched: encoded slashes and backslashes, dot segments in any spelling, empty
// segments, path parameters and NUL. matched is the configured path.
func checkPath(u *url.URL, matched string) bool {
	escaped := strings.ToLower(u.EscapedPath())
	for _, bad := range []string{"%2f", "%5c", "%2e", "%00", "%25", "\\", ";", "//"} {
		if strings.Contains(escaped, bad) {
			return false
		}
	}
	for seg := range strings.SplitSeq(u.Path, "/") {
		if seg == "." || seg == ".." {
			return false
		}
	}
	_, ok := cutPathPrefix(escaped, strings.ToLower(matched))
	return ok
}

// cutPathPrefix removes a path prefix that ends at a segment boundary and returns
// the rest, "" or beginning with a slash.
func cutPathPrefix(path, prefix string) (rest string, ok bool) {
	if prefix == "/" {
		return path, strings.HasPrefix(path, "/")
	}
	if len(path) < len(prefix) || !strings.EqualFold(path[:len(prefix)], prefix) {
		return "", false
	}
	rest = path[len(prefix):]
	return rest, rest == "" || rest[0] == '/'
}

// joinPath puts a rest as returned by cutPathPrefix behind another prefix.
func joinPath(prefix, rest string) string {
	if prefix == "/" && rest != "" {
		return rest
	}
	return strings.TrimSuffix(prefix, "/") + rest
}

// rewritePath replaces the matched prefix by the backend's. Both the decoded and
// the encoded form are cut at the same place, which checkPath made sure exists.
func rewritePath(r *http.Request, matched, backend string) {
	rest, _ := cutPathPrefix(r.URL.Path, matched)
	r.URL.Path = joinPath(backend, rest)
	if r.URL.RawPath != "" {
		raw, _ := cutPathPrefix(r.URL.RawPath, matched)
		r.URL.RawPath = joinPath(backend, raw)
	}
	r.RequestURI = r.URL.RequestURI()
}
