// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// cookieStore keeps cookies as a browser does where it matters here: by host
// without port, with path, expiry, Secure and SameSite (RFC 6265bis). The
// standard library's jar ignores SameSite, and would hide a lost session.
type cookieStore struct{ cookies []storedCookie }

type storedCookie struct {
	http.Cookie
	host    string
	expires time.Time
}

// set takes the cookies of a response from u. Secure is accepted on loopback,
// as Chromium does.
func (s *cookieStore) set(u *url.URL, cookies []*http.Cookie) {
	for _, c := range cookies {
		next := storedCookie{Cookie: *c, host: u.Hostname()}
		if strings.HasPrefix(c.Name, "__Host-") && (!c.Secure || c.Domain != "" || c.Path != "/") {
			continue
		}
		if c.MaxAge > 0 {
			next.expires = time.Now().Add(time.Duration(c.MaxAge) * time.Second)
		}
		kept := s.cookies[:0]
		for _, old := range s.cookies {
			if old.Name != next.Name || old.host != next.host || old.Path != next.Path {
				kept = append(kept, old)
			}
		}
		s.cookies = kept
		if c.MaxAge >= 0 {
			s.cookies = append(s.cookies, next)
		}
	}
}

// matching are the cookies a top-level navigation to u carries. crossSite and
// method decide what SameSite lets through.
func (s *cookieStore) matching(u *url.URL, method string, crossSite bool) []*http.Cookie {
	var out []*http.Cookie
	for _, c := range s.cookies {
		switch {
		case c.host != u.Hostname(), !pathMatches(u.Path, c.Path):
		case !c.expires.IsZero() && time.Now().After(c.expires):
		case c.Secure && u.Scheme != "https" && !isLoopback(u.Hostname()):
		case crossSite && c.SameSite == http.SameSiteStrictMode:
		case crossSite && method != http.MethodGet && c.SameSite != http.SameSiteNoneMode:
		default:
			out = append(out, &http.Cookie{Name: c.Name, Value: c.Value})
		}
	}
	return out
}

func pathMatches(path, prefix string) bool {
	prefix = strings.TrimSuffix(prefix, "/")
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

func isLoopback(host string) bool { return host == "localhost" || host == "127.0.0.1" || host == "::1" }
