// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"net"
	"net/http"
	"slices"
	"strings"
)

// guardedWriter edits the header of a backend's response once, when it is
// written, and touches nothing else but the first event of a legacy stream (see
// endpointEvent): no buffering, and Unwrap keeps flushing and deadlines of
// http.ResponseController working. It also holds what else one
// request needs, so that a request costs one allocation for all of it.
type guardedWriter struct {
	http.ResponseWriter
	guard    *Guard
	matched  string
	session  sessionBinding
	stream   stream
	admitted Admitted
	// authorization is room for one header value.
	authorization [1]string
	cors          string // the allowed Origin of the request, or ""
	done          bool
	// base is the public path of a request whose answer may be a stream of the
	// legacy transport, endpoint watches for its first event.
	base     string
	endpoint *endpointEvent
}

// Unwrap is for http.ResponseController.
func (w *guardedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack refuses: no request asks the backend for another protocol, and a
// connection that was taken over would outlive revocation.
func (w *guardedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, http.ErrNotSupported
}

// WriteHeader edits the header of the final response. Informational ones pass, but
// say no more in our name than the final one may.
func (w *guardedWriter) WriteHeader(code int) {
	switch {
	case w.done:
	case code < 200 && code != http.StatusSwitchingProtocols:
		dropBackendHeaders(w.Header())
	default:
		code = w.edit(code)
	}
	w.ResponseWriter.WriteHeader(code)
}

// edit does what is to be done to the header of the final response, and returns
// the status to send.
func (w *guardedWriter) edit(code int) int {
	w.done = true
	h := w.Header()
	dropBackendHeaders(h)
	w.session.bindOutbound(h)
	w.guard.publishLocation(h, w.matched)
	if w.cors != "" {
		setCORS(h, w.cors)
	}
	if isEventStream(h) {
		w.stream.markOpen()
		w.expectEndpoint(code)
	}
	return w.guard.backendStatus(code)
}

func (w *guardedWriter) Write(b []byte) (int, error) {
	w.stream.hurryHandler()
	if !w.done {
		w.WriteHeader(http.StatusOK)
	}
	if w.endpoint != nil {
		return w.writeEvents(b)
	}
	return w.ResponseWriter.Write(b)
}

// FlushError is what http.ResponseController calls: a flush may be what sends the
// header.
func (w *guardedWriter) FlushError() error {
	w.stream.hurryHandler()
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
		h["Set-Cookie"] = slices.DeleteFunc(slices.Clone(cookies), setsOurCookie)
		if len(h["Set-Cookie"]) == 0 {
			delete(h, "Set-Cookie")
		}
	}
}

// setsOurCookie also sees through a cookie without a name: its value is sent back
// as it stands, "=mcp_state=x" as "mcp_state=x".
func setsOurCookie(line string) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(line, "= \t"), "=")
	return isOurCookie(strings.TrimSpace(name))
}

// backendStatus turns the backend's 401 into 502: the client has authenticated,
// and a 401 would send it into a sign-in that cannot help (R8.11). So it does 101:
// nobody asked the backend to switch protocols.
func (g *Guard) backendStatus(code int) int {
	switch code {
	case http.StatusUnauthorized:
		g.log.Error("backend asked for credentials; it must accept the gateway's requests without",
			"resource", g.resource)
		return http.StatusBadGateway
	case http.StatusSwitchingProtocols:
		g.log.Error("backend switched protocols unasked", "resource", g.resource)
		return http.StatusBadGateway
	}
	return code
}

// isEventStream compares the media type alone: parameters do not matter, however
// malformed they are.
func isEventStream(h http.Header) bool {
	mt, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(mt), "text/event-stream")
}
