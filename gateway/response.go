// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// guardedWriter edits the header of a backend's response once, when it is
// written, and touches nothing else: no buffering, and Unwrap keeps flushing and
// deadlines of http.ResponseController working.
type guardedWriter struct {
	http.ResponseWriter
	guard   *Guard
	matched string
	session sessionBinding
	stream  *stream
	cors    string // the allowed Origin of the request, or ""
	done    bool
}

// Unwrap is for http.ResponseController.
func (w *guardedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader edits the header of the final response; informational ones pass.
func (w *guardedWriter) WriteHeader(code int) {
	if code < 200 || w.done {
		w.ResponseWriter.WriteHeader(code)
		return
	}
	w.done = true
	h := w.Header()
	dropBackendHeaders(h)
	code = w.guard.backendStatus(code)
	w.session.bindOutbound(h)
	w.guard.publishLocation(h, w.matched)
	if w.cors != "" {
		setCORS(h, w.cors)
	}
	if isEventStream(h) {
		w.stream.markOpen()
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *guardedWriter) Write(b []byte) (int, error) {
	if !w.done {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

// FlushError is what http.ResponseController calls: a flush may be what sends the
// header.
func (w *guardedWriter) FlushError() error {
	if !w.done {
		w.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush implements http.Flusher for handlers that ask for it.
func (w *guardedWriter) Flush() { _ = w.FlushError() }

// dropBackendHeaders removes what only the gateway may say: a challenge would
// start a sign-in elsewhere, a second CORS answer breaks browsers, and our
// cookies are ours to set.
func dropBackendHeaders(h http.Header) {
	delete(h, "Www-Authenticate")
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			delete(h, name)
		}
	}
	if cookies := h["Set-Cookie"]; len(cookies) > 0 {
		h["Set-Cookie"] = slices.DeleteFunc(slices.Clone(cookies), func(line string) bool {
			name, _, _ := strings.Cut(line, "=")
			return isOurCookie(strings.TrimSpace(name))
		})
		if len(h["Set-Cookie"]) == 0 {
			delete(h, "Set-Cookie")
		}
	}
}

// backendStatus turns the backend's 401 into 502: the client has authenticated,
// and a 401 would send it into a sign-in that cannot help (R8.11).
func (g *Guard) backendStatus(code int) int {
	if code == http.StatusUnauthorized {
		g.log.Error("backend asked for credentials; it must accept the gateway's requests without",
			"resource", g.resource)
		return http.StatusBadGateway
	}
	return code
}

// publishLocation makes a redirect usable from outside: one that names the
// backend's own address, or the public host with another scheme, is put on the
// issuer's origin, and the backend's path is put back to the public one.
func (g *Guard) publishLocation(h http.Header, matched string) {
	loc := h.Get("Location")
	if loc == "" {
		return
	}
	u, err := url.Parse(loc)
	if err != nil || u.Opaque != "" {
		return
	}
	ours := u.Host == "" || strings.EqualFold(u.Host, g.host) || slices.Contains(g.cfg.Backends, u.Host)
	if !ours {
		return
	}
	if g.cfg.BackendPath != "" && strings.HasPrefix(u.Path, "/") {
		if rest, ok := cutPathPrefix(u.EscapedPath(), g.cfg.BackendPath); ok {
			u.RawPath = ""
			u.Path = joinPath(matched, rest)
			if p, err := url.PathUnescape(u.Path); err == nil && p != u.Path {
				u.RawPath, u.Path = u.Path, p
			}
		}
	}
	if u.Host != "" {
		u.Scheme, u.Host = g.scheme, g.host
	}
	h.Set("Location", u.String())
}

func isEventStream(h http.Header) bool {
	mt, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && mt == "text/event-stream"
}
