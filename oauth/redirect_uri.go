// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"net/url"
	"slices"
	"strings"
)

// RedirectKind is how a redirect URI brings the code to the client, which is
// what decides how far it is trusted.
type RedirectKind int

const (
	// RedirectHTTPS goes to a web server that proved its name.
	RedirectHTTPS RedirectKind = iota
	// RedirectLoopback goes to whatever program listens on this machine
	// (RFC 8252 §7.3): http on 127.0.0.1, [::1] or localhost.
	RedirectLoopback
	// RedirectPrivateUse goes to whatever program claimed the scheme (RFC 8252
	// §7.1): cursor://, vscode://, com.example.app:/.
	RedirectPrivateUse
)

// String returns the kind in words, for logs.
func (k RedirectKind) String() string {
	switch k {
	case RedirectHTTPS:
		return "https"
	case RedirectLoopback:
		return "loopback"
	case RedirectPrivateUse:
		return "private-use"
	}
	return "unknown"
}

// ParseRedirectURI decides whether a client may register s (R4.19) and what
// kind it is. The error is invalid_redirect_uri; its description begins with
// "redirect_uri" and gives the reason without quoting s.
func ParseRedirectURI(s string) (RedirectKind, *Error) {
	kind, _, reason := parseRedirectURI(s)
	if reason != "" {
		return 0, NewError(CodeInvalidRedirectURI, "redirect_uri %s", reason)
	}
	return kind, nil
}

func parseRedirectURI(s string) (RedirectKind, uri, string) {
	u, reason := splitURI(s)
	if reason == "" {
		reason = checkResponseQuery(u.query)
	}
	if reason != "" {
		return 0, uri{}, reason
	}
	switch u.scheme {
	case "https":
		return RedirectHTTPS, u, u.httpHost()
	case "http":
		if !u.authority || !loopbackHost(u.host) {
			return 0, uri{}, "may use http only for 127.0.0.1, [::1] and localhost"
		}
		return RedirectLoopback, u, ""
	}
	switch {
	case refusedScheme(u.scheme):
		return 0, uri{}, "has a scheme that is not allowed"
	case !u.authority && !strings.HasPrefix(u.path, "/"):
		// "com.example.app:javascript:…" and the like: a URI inside a URI.
		return 0, uri{}, "must have a slash after the scheme"
	}
	return RedirectPrivateUse, u, ""
}

// loopbackHost compares literals: other spellings of the loopback address are
// what attackers use and clients do not.
func loopbackHost(host string) bool {
	return host == "127.0.0.1" || host == "[::1]" || strings.EqualFold(host, "localhost")
}

// responseParams are the parameters of an authorization response. A redirect
// URI that brought one along would make it appear twice, the client's own first
// (R5.5), which is how a mix-up attack would forge `iss`.
var responseParams = []string{
	"code", "state", "iss", "error", "error_description", "error_uri",
	"access_token", "id_token", "token_type", "response",
}

func checkResponseQuery(query string) string {
	for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return "contains a broken escape"
		}
		if slices.Contains(responseParams, strings.ToLower(name)) {
			return "must not contain a parameter of the authorization response"
		}
	}
	return ""
}

// MatchRedirectURI reports whether requested is one of the registered redirect
// URIs. They must be the same string (RFC 3986 §6.2.1), with one exception: on
// loopback the port is free (RFC 8252 §7.3), whether or not one was registered,
// since clients register the port they would like and take another. Host
// literal, path and query must still be the same, and localhost is not
// 127.0.0.1 (R5.6).
func MatchRedirectURI(registered []string, requested string) bool {
	kind, want, reason := parseRedirectURI(requested)
	if reason != "" {
		return false
	}
	if slices.Contains(registered, requested) {
		return true
	}
	if kind != RedirectLoopback {
		return false
	}
	want.port = ""
	return slices.ContainsFunc(registered, func(s string) bool {
		kind, have, reason := parseRedirectURI(s)
		have.port = ""
		return reason == "" && kind == RedirectLoopback && have == want
	})
}

// RedirectHost is what the consent page shows of a redirect URI: host and port
// of an http or https one, scheme and host of a private-use one, always ASCII,
// lower case. It is empty for a URI that [ParseRedirectURI] refuses.
func RedirectHost(s string) string {
	kind, u, reason := parseRedirectURI(s)
	if reason != "" {
		return ""
	}
	host := strings.ToLower(u.host)
	if u.port != "" {
		host += ":" + u.port
	}
	switch {
	case kind != RedirectPrivateUse:
		return host
	case host == "":
		return u.scheme + ":"
	}
	return u.scheme + "://" + host
}

// AuthorizationResponseURL appends parameters, given as name, value, …, to a
// redirect URI (RFC 6749 §4.1.2). A parameter with an empty value is left out.
// What the redirect URI contains stays as it is, byte for byte.
func AuthorizationResponseURL(redirectURI string, params ...string) string {
	var b strings.Builder
	b.WriteString(redirectURI)
	sep := "?"
	if at := strings.IndexByte(redirectURI, '?'); at >= 0 {
		sep = "&"
		if last := redirectURI[len(redirectURI)-1]; last == '?' || last == '&' {
			sep = ""
		}
	}
	for i := 0; i+1 < len(params); i += 2 {
		if params[i+1] == "" {
			continue
		}
		b.WriteString(sep)
		b.WriteString(url.QueryEscape(params[i]))
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(params[i+1]))
		sep = "&"
	}
	return b.String()
}
