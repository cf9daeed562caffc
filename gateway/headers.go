// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Identity headers, see design: on every request the backend sees them from us
// or not at all.
const (
	headerUser      = "X-Forwarded-User"
	headerUsername  = "X-Forwarded-Preferred-Username"
	headerEmail     = "X-Forwarded-Email"
	headerGroups    = "X-Forwarded-Groups"
	headerClientID  = "X-Mcp-Client-Id"
	headerScope     = "X-Mcp-Scope"
	headerAssertion = "X-Mcp-Jwt-Assertion"
)

var identityHeaders = [...]string{
	headerUser, headerUsername, headerEmail, headerGroups, headerClientID, headerScope, headerAssertion,
}

// IdentityHeaders are the names of the headers that tell the backend who calls.
func IdentityHeaders() []string { return slices.Clone(identityHeaders[:]) }

// isGuarded names what is removed on guarded requests besides: the client's
// credentials are for us alone, and reverse_proxy would re-add Upgrade. Of session
// ids only the canonical spelling was checked, and a backend that folds names would
// take another one for the session.
func isGuarded(name string) bool {
	switch name {
	case "Authorization", "DPoP", "Dpop", "Upgrade", "Te", "Trailer":
		return true
	case headerSession:
		return false
	}
	return foldsTo(name, headerSession)
}

// StripInbound deletes every header that a backend could take for one of our
// identity headers: same name in any case, with '_' or anything else that is no
// letter or digit for '-', because CGI, WSGI and others fold these together. It
// also drops those names, and Authorization, from Connection: a proxy further in
// deletes the headers named there, ours included, and the backend would see an
// anonymous request. Trailers come after the body, announced or not, and are
// cleaned when they have come.
func StripInbound(r *http.Request) {
	dropIdentity(r.Header)
	dropIdentity(r.Trailer)
	scrubConnection(r.Header, "Connection")
	scrubConnection(r.Header, "Proxy-Connection")
	if r.Body != nil && (r.ContentLength < 0 || len(r.Trailer) > 0) {
		r.Body = &trailerFilter{ReadCloser: r.Body, request: r}
	}
}

func dropIdentity(h http.Header) {
	for name := range h {
		if isIdentityHeader(name) {
			delete(h, name)
		}
	}
}

// trailerFilter cleans the trailers of a request at the end of its body, before
// whoever reads the body sees that end.
type trailerFilter struct {
	io.ReadCloser
	request *http.Request
}

func (f *trailerFilter) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if err != nil {
		dropIdentity(f.request.Trailer)
	}
	return n, err
}

func isIdentityHeader(name string) bool {
	if name == "" || foldByte(name[0]) != 'x' { // all of ours begin so; most others do not
		return false
	}
	return slices.ContainsFunc(identityHeaders[:], func(ours string) bool { return foldsTo(name, ours) })
}

// foldsTo compares header names, ignoring case and taking everything for '-' that
// is no letter or digit: '_' and '.' for many servers, any other for some.
func foldsTo(name, ours string) bool {
	if len(name) != len(ours) {
		return false
	}
	for i := range len(name) {
		if foldByte(name[i]) != foldByte(ours[i]) {
			return false
		}
	}
	return true
}

func foldByte(c byte) byte {
	switch {
	case c >= 'A' && c <= 'Z':
		return c + ('a' - 'A')
	case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		return c
	}
	return '-'
}

func scrubConnection(h http.Header, name string) {
	lines := h[name]
	if len(lines) == 0 {
		return
	}
	var kept []string
	for _, line := range lines {
		for tok := range strings.SplitSeq(line, ",") {
			tok = strings.Trim(tok, " \t")
			if tok == "" || isIdentityHeader(tok) || isProtocolHeader(tok) {
				continue
			}
			kept = append(kept, tok)
		}
	}
	if len(kept) == 0 {
		delete(h, name)
		return
	}
	h[name] = []string{strings.Join(kept, ", ")}
}

// isProtocolHeader names what a client must not have removed on the way in
// either: without them the backend would see another request than was checked.
func isProtocolHeader(name string) bool {
	return foldsTo(name, "Authorization") || strings.HasPrefix(strings.ToLower(name), "mcp-") ||
		foldsTo(name, "Upgrade") || foldsTo(name, "Origin") || foldsTo(name, "Host") ||
		strings.HasPrefix(strings.ToLower(name), "x-forwarded-")
}

// stripCredentials removes what was meant for the gateway: tokens in every place
// a client may put them, and our own cookies. The query parameter access_token is
// never honoured (OAuth 2.1 §5.1) and must not reach the backend either.
func stripCredentials(r *http.Request) {
	for name := range r.Header {
		if isGuarded(name) {
			delete(r.Header, name)
		}
	}
	r.Trailer = nil
	stripCookies(r.Header)
	if raw := r.URL.RawQuery; raw != "" {
		if kept := dropParam(raw, "access_token"); kept != raw {
			setQuery(r, kept)
		}
	}
}

// setQuery replaces the query of a request that others hold the URL of.
func setQuery(r *http.Request, raw string) {
	u := *r.URL
	u.RawQuery = raw
	r.URL, r.RequestURI = &u, u.RequestURI()
}

// dropParam removes a parameter from a raw query and keeps the rest byte for byte.
func dropParam(raw, name string) string {
	var kept []string
	for pair := range strings.SplitSeq(raw, "&") {
		key, _, _ := strings.Cut(pair, "=")
		if k, err := url.QueryUnescape(key); err == nil && strings.EqualFold(k, name) {
			continue
		}
		kept = append(kept, pair)
	}
	return strings.Join(kept, "&")
}

// stripCookies removes the cookies of our names and keeps the operator's own.
func stripCookies(h http.Header) {
	lines := h["Cookie"]
	if len(lines) == 0 {
		return
	}
	var kept []string
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.TrimSpace(pair)
			name, _, _ := strings.Cut(pair, "=")
			if pair == "" || isOurCookie(strings.TrimSpace(name)) {
				continue
			}
			kept = append(kept, pair)
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = []string{strings.Join(kept, "; ")}
}
