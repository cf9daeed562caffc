// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// checkPath refuses what a backend may read as another path than the one that was
// matched: encoded slashes and backslashes, dot segments in any spelling, empty
// segments, path parameters, percent signs that a second decoding would turn into
// one of these, control characters, and bytes that are no UTF-8, among them the
// overlong spellings of '.' and '/'. matched is the configured path.
func checkPath(u *url.URL, matched string) bool {
	if u.Path == matched && u.RawPath == "" {
		return true // nearly every request
	}
	escaped := strings.ToLower(u.EscapedPath())
	for _, bad := range pathTricks {
		if strings.Contains(escaped, bad) {
			return false
		}
	}
	if !utf8.ValidString(u.Path) || strings.ContainsFunc(u.Path, isControl) {
		return false
	}
	for seg := range strings.SplitSeq(u.Path, "/") {
		if seg == "." || seg == ".." {
			return false
		}
	}
	_, ok := cutPathPrefix(escaped, strings.ToLower(matched))
	return ok
}

// pathTricks are in the lower case of an escaped path.
var pathTricks = []string{"%2f", "%5c", "%2e", "%3b", "%25", "\\", ";", "//"}

func isControl(c rune) bool { return c < ' ' || c == 0x7f }

// cutPathPrefix removes a path prefix that ends at a segment boundary and returns
// the rest, "" or beginning with a slash. Of the root path "/", "/" itself leaves
// nothing: it is the resource and not something below it.
func cutPathPrefix(path, prefix string) (rest string, ok bool) {
	if prefix == "/" {
		if path == "/" {
			return "", true
		}
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
	if prefix == "/" {
		return orElse(rest, "/")
	}
	return prefix + rest
}

// rewritePath replaces the matched prefix by the backend's. Both the decoded and
// the encoded form are cut at the same place, which checkPath made sure exists.
// The encoded form is the one that was checked: a RawPath that does not belong to
// the Path, as a handler before us may leave behind, is not used.
func rewritePath(r *http.Request, matched, backend string) {
	rest, _ := cutPathPrefix(r.URL.Path, matched)
	raw, _ := cutPathPrefix(r.URL.EscapedPath(), matched)
	u := *r.URL
	u.Path, u.RawPath = joinPath(backend, rest), ""
	if raw != rest {
		u.RawPath = joinPath((&url.URL{Path: backend}).EscapedPath(), raw)
	}
	r.URL, r.RequestURI = &u, u.RequestURI()
}
