// SPDX-License-Identifier: Apache-2.0

package testmcp

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
)

// Respond answers with exactly this status, these header fields and this body.
func Respond(status int, header http.Header, body []byte) Reply {
	return func(w http.ResponseWriter, _ *http.Request) {
		copyHeader(w.Header(), header)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		_, _ = w.Write(body) // the client may be gone, as in any server
	}
}

// JSON answers with a JSON body, by far the commonest reply.
func JSON(status int, body string) Reply {
	return Respond(status, http.Header{"Content-Type": {"application/json"}}, []byte(body))
}

// Challenge answers 401 with these WWW-Authenticate values.
func Challenge(challenges ...string) Reply {
	return Respond(http.StatusUnauthorized, http.Header{"Www-Authenticate": challenges}, []byte("unauthorized\n"))
}

// Redirect answers with a Location, verbatim.
func Redirect(status int, location string) Reply {
	return Respond(status, http.Header{"Location": {location}}, nil)
}

// WithTrailer answers 200 with a chunked body and these trailers.
func WithTrailer(body []byte, trailer http.Header) Reply {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range slices.Sorted(maps.Keys(trailer)) {
			w.Header().Add("Trailer", name)
		}
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(body) // the client may be gone
		copyHeader(w.Header(), trailer)
	}
}

// Abort sends a header and part of a body, then drops the connection.
func Abort(header http.Header, partial []byte) Reply {
	return func(w http.ResponseWriter, _ *http.Request) {
		copyHeader(w.Header(), header)
		_, _ = w.Write(partial)                   // the client may be gone
		_ = http.NewResponseController(w).Flush() // nothing to add: the abort follows
		panic(http.ErrAbortHandler)
	}
}

// Hang answers nothing until the client is gone or the hang is released.
type Hang struct {
	started, gone, release chan struct{}
	once                   [3]sync.Once
}

// NewHang makes a hang for one request.
func NewHang() *Hang {
	return &Hang{started: make(chan struct{}), gone: make(chan struct{}), release: make(chan struct{})}
}

// Reply is the reply to script.
func (h *Hang) Reply(w http.ResponseWriter, r *http.Request) {
	h.once[0].Do(func() { close(h.started) })
	select {
	case <-r.Context().Done():
		h.once[1].Do(func() { close(h.gone) })
	case <-h.release:
		w.WriteHeader(http.StatusOK)
	}
}

// Started is closed once the request arrived.
func (h *Hang) Started() <-chan struct{} { return h.started }

// Disconnected is closed once the backend saw its client go away.
func (h *Hang) Disconnected() <-chan struct{} { return h.gone }

// Release lets the request end with 200. It may be called more than once.
func (h *Hang) Release() { h.once[2].Do(func() { close(h.release) }) }

func copyHeader(dst, src http.Header) {
	for name, values := range src {
		dst[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
}
