// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"strings"
)

// watchEndpoint prepares for an answer that may be a legacy stream. It asks the
// backend not to compress a stream, because the URI in it is to be read; nothing is
// gained by compressing what is flushed at every event.
func (w *guardedWriter) watchEndpoint(r *http.Request) {
	w.base = r.URL.Path
	if strings.Contains(strings.ToLower(r.Header.Get("Accept")), "text/event-stream") {
		r.Header["Accept-Encoding"] = []string{"identity"}
	}
}

// expectEndpoint looks at the header of an event stream. One of known length, or
// encoded, is no stream of the legacy transport: its first event is left alone, and
// whoever takes a session from there is refused.
func (w *guardedWriter) expectEndpoint(code int) {
	h := w.Header()
	encoding := h.Get("Content-Encoding")
	if w.base == "" || code != http.StatusOK || h.Get("Content-Length") != "" ||
		encoding != "" && !strings.EqualFold(encoding, "identity") {
		return
	}
	w.endpoint = &endpointEvent{bind: func(uri string) (string, bool) {
		bound, ok := w.guard.bindEndpoint(w.session, w.base, w.matched, uri)
		if !ok {
			w.guard.log.Warn("legacy session left unbound, its endpoint is none of this site", "resource", w.guard.resource)
		}
		return bound, ok
	}}
}

// writeEvents passes on what the backend wrote, less what is held back.
func (w *guardedWriter) writeEvents(b []byte) (int, error) {
	if out := w.endpoint.feed(b); len(out) > 0 {
		if _, err := w.ResponseWriter.Write(out); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// flushEndpoint passes on what was held back for an event that never ended.
func (w *guardedWriter) flushEndpoint() {
	if w.endpoint == nil {
		return
	}
	if held := w.endpoint.end(); len(held) > 0 {
		_, _ = w.ResponseWriter.Write(held) // the client hanging up is not our failure
	}
}
