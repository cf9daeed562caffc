// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// Cookie names. On https the __Host- prefix makes the browser refuse a cookie
// that a sibling host or plain http tried to plant (RFC 6265bis §4.1.3). Browsers
// refuse __Host- and Secure on http, so an http loopback issuer does without and
// puts its port into the name: cookies do not tell ports apart.
const (
	cookieBrowser = "mcp_browser"
	cookieState   = "mcp_state"
	cookieSignIn  = "mcp_signin"
	hostPrefix    = "__Host-"
)

// isOurCookie reports whether a cookie name belongs to any issuer of ours.
func isOurCookie(name string) bool {
	name = strings.TrimPrefix(name, hostPrefix)
	return strings.HasPrefix(name, cookieBrowser) || strings.HasPrefix(name, cookieState) ||
		strings.HasPrefix(name, cookieSignIn)
}

// cookieJar writes and reads the cookies of one issuer.
type cookieJar struct {
	prefix, suffix string
	secure         bool
}

func newCookieJar(issuer *url.URL) cookieJar {
	if issuer.Scheme == "https" {
		return cookieJar{prefix: hostPrefix, secure: true}
	}
	return cookieJar{suffix: "_" + issuer.Port()}
}

// stateName gives each sign-in a cookie of its own, so that parallel tabs do not
// overwrite each other.
func stateName(pending storage.Hash) string {
	return cookieState + "_" + hex.EncodeToString(pending[:6])
}

// get returns a cookie's value, or "" if it is absent or was sent twice: which of
// two is ours cannot be told.
func (j cookieJar) get(r *http.Request, name string) string {
	cookies := r.CookiesNamed(j.prefix + name + j.suffix)
	if len(cookies) != 1 {
		return ""
	}
	return cookies[0].Value
}

// set writes a cookie that no script reads and no foreign site's form carries.
// Lax, not Strict: the answer of the upstream is a cross-site navigation.
// The zero duration means until the browser closes.
func (j cookieJar) set(w http.ResponseWriter, name, value string, life time.Duration) {
	j.write(w, name, value, int(life/time.Second))
}

func (j cookieJar) remove(w http.ResponseWriter, name string) { j.write(w, name, "", -1) }

// write takes MaxAge as http.Cookie does: zero leaves it out, negative deletes.
func (j cookieJar) write(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: j.prefix + name + j.suffix, Value: value, Path: "/",
		MaxAge: maxAge, Secure: j.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// browser returns the secret that identifies this browser, or "".
func (j cookieJar) browser(r *http.Request) string { return j.get(r, cookieBrowser) }

// ensureBrowser returns it, setting a new one if there is none. A second tab
// shares it, so that neither page invalidates the other.
func (j cookieJar) ensureBrowser(w http.ResponseWriter, r *http.Request) string {
	if b := j.browser(r); len(b) >= minCookieSecret {
		return b
	}
	b := token.NewSecret()
	j.set(w, cookieBrowser, b, 0)
	return b
}

// minCookieSecret refuses a value that cannot be one of ours.
const minCookieSecret = 43
