// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"strconv"
	"strings"
)

// maxURIBytes bounds every URI we accept.
const maxURIBytes = 2048

// uri is an absolute URI cut at its delimiters, by our own hands: net/url and
// the browsers disagree about backslashes, userinfo, zones and odd ports, so
// anything they could read differently is refused here instead of interpreted.
type uri struct {
	scheme string // lower case
	// authority says whether "//" follows the scheme. host and port are empty
	// without it.
	authority bool
	host      string // as written; brackets kept around an IPv6 literal
	port      string // digits, no leading zero; empty if none
	path      string // as written; empty or starting with "/"
	query     string // as written, without "?"
	hasQuery  bool
}

// splitURI cuts s into its parts, or says in words why it will not. The reason
// never contains any of s.
func splitURI(s string) (u uri, reason string) {
	if reason := checkURIBytes(s); reason != "" {
		return uri{}, reason
	}
	scheme, rest, found := strings.Cut(s, ":")
	if !found || !validScheme(scheme) {
		return uri{}, "must be an absolute URI"
	}
	u.scheme = strings.ToLower(scheme)
	rest, u.query, u.hasQuery = strings.Cut(rest, "?")
	if strings.ContainsAny(u.query, "[]") {
		return uri{}, "contains a character that is not allowed"
	}
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		u.authority = true
		end := strings.IndexByte(after, '/')
		if end < 0 {
			end = len(after)
		}
		if reason := u.splitAuthority(after[:end]); reason != "" {
			return uri{}, reason
		}
		rest = after[end:]
	}
	u.path = rest
	return u, checkPath(u.path)
}

// checkURIBytes lets through the characters of RFC 3986, less "#" (a fragment is
// never allowed) and "*" (which invites being taken for a pattern), and complete
// escapes of anything but control characters.
func checkURIBytes(s string) string {
	if len(s) > maxURIBytes {
		return "is longer than " + strconv.Itoa(maxURIBytes) + " bytes"
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case unreserved(c) || strings.IndexByte(":/?[]@!$&'()+,;=", c) >= 0:
		case c == '%':
			if i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
				return "contains a broken escape"
			}
			if b := unhex(s[i+1])<<4 | unhex(s[i+2]); b < 0x20 || b == 0x7f {
				return "contains an escaped control character"
			}
		case c == '#':
			return "must not have a fragment"
		default:
			return "contains a character that is not allowed"
		}
	}
	return ""
}

// validScheme is RFC 3986 §3.1 with at least two characters: "c:/x" is a file
// on Windows.
func validScheme(s string) bool {
	if len(s) < 2 || len(s) > 64 || !alpha(s[0]) {
		return false
	}
	for _, c := range []byte(s) {
		if !alnum(c) && c != '+' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// splitAuthority cuts host and port.
func (u *uri) splitAuthority(s string) string {
	if strings.Contains(s, "@") {
		return "must not have user information"
	}
	host, port, hasPort := s, "", false
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 || s[end+1:] != "" && s[end+1] != ':' {
			return "has a malformed host"
		}
		host, hasPort = s[:end+1], s[end+1:] != ""
		port = strings.TrimPrefix(s[end+1:], ":")
	} else {
		host, port, hasPort = strings.Cut(s, ":")
	}
	if host != "" && !validHost(host) {
		return "has a malformed host"
	}
	if hasPort && (host == "" || !validPort(port)) {
		return "has a malformed port"
	}
	u.host, u.port = host, port
	return ""
}

// checkPath refuses what clients, proxies and browsers resolve differently.
func checkPath(path string) string {
	if strings.ContainsAny(path, "[]") {
		return "contains a character that is not allowed"
	}
	for segment := range strings.SplitSeq(path, "/") {
		switch lower := strings.ToLower(segment); {
		case dotSegment(lower):
			return "must not have dot segments"
		case strings.Contains(lower, "%2f") || strings.Contains(lower, "%5c"):
			return "must not have escaped slashes"
		}
	}
	return ""
}

// dotSegment reports whether a lower-case segment is "." or "..", escaped or
// not. Browsers treat "%2e" as a dot when they resolve a path.
func dotSegment(lower string) bool {
	if len(lower) > len("%2e%2e") {
		return false
	}
	switch strings.ReplaceAll(lower, "%2e", ".") {
	case ".", "..":
		return true
	}
	return false
}
