// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"time"
)

// lastWords is how long a client may take to read the end of what we ended. One that
// does not read would hold the request, and with it the end of the process, for as
// long as it likes.
const lastWords = time.Second

// hurry ends what the handler still writes after that time. A deadline that is set at
// once would not do: Caddy's idle timeouts have the handler set another for every write.
func (s *stream) hurry() {
	if s.client == nil {
		return
	}
	time.AfterFunc(lastWords, func() {
		s.shard.mu.Lock()
		defer s.shard.mu.Unlock()
		if s.next != nil { // the handler has not returned, and cannot meanwhile
			setWriteDeadline(serverWriter(s.client), 0)
		}
	})
}

// hurryHandler is for what the handler writes after the end, once. It tells the
// wrappers: those of Caddy's idle timeouts set a later deadline for every write, and a
// handler that does not look at its context, such as a proxy of FastCGI, writes on.
func (s *stream) hurryHandler() {
	if e := s.ended.Load(); e != nil && s.client != nil && !s.hurried {
		s.hurried = true
		setWriteDeadline(s.client, time.Until(e.at.Add(lastWords)))
	}
}

// hurryServer bounds what the server sends after the handler of an ended request. The
// handler calls it, and may do so by the wrappers, which then remember it.
func (s *stream) hurryServer() {
	if s.client != nil && s.cause() != nil {
		setWriteDeadline(s.client, lastWords)
	}
}

// setWriteDeadline ignores that a writer knows no deadline: such do not wait for a
// client.
func setWriteDeadline(w http.ResponseWriter, in time.Duration) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(in))
}

// serverWriter returns the writer of the server, beneath all wrappers. Its deadline may
// be set while the handler writes. Wrappers, such as those for Caddy's idle timeouts,
// do not expect that of anybody but the handler.
func serverWriter(w http.ResponseWriter) http.ResponseWriter {
	for {
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = wrapper.Unwrap()
	}
}
