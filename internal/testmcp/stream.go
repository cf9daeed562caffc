// SPDX-License-Identifier: Apache-2.0

package testmcp

import (
	"context"
	"errors"
	"net/http"
	"sync"
)

// ErrGone says that the client of a Stream has disconnected.
var ErrGone = errors.New("client disconnected")

// Stream is an SSE response under the control of a test: each Send is written
// and flushed before it returns, and nothing is written in between.
type Stream struct {
	header  http.Header
	writes  chan write
	started chan struct{}
	gone    chan struct{}
	end     chan struct{}

	start, finish, leave sync.Once
}

// write is one chunk on its way to the serving goroutine.
type write struct {
	chunk string
	done  chan error
}

// NewStream makes a stream for one request. Header is added to its response
// header, and may override the Content-Type.
func NewStream(header http.Header) *Stream {
	return &Stream{
		header: header,
		writes: make(chan write), started: make(chan struct{}),
		gone: make(chan struct{}), end: make(chan struct{}),
	}
}

// Reply is the reply to script.
func (s *Stream) Reply(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	copyHeader(w.Header(), s.header)
	w.WriteHeader(http.StatusOK)
	flusher := http.NewResponseController(w)
	_ = flusher.Flush() // a broken connection shows in the request's context
	s.start.Do(func() { close(s.started) })
	for {
		select {
		case <-r.Context().Done():
			s.leave.Do(func() { close(s.gone) })
			return
		case <-s.end:
			return
		case next := <-s.writes:
			_, err := w.Write([]byte(next.chunk))
			if err == nil {
				err = flusher.Flush()
			}
			next.done <- err
		}
	}
}

// Send writes one chunk, verbatim: the caller formats events, so that ids,
// comments and unusual line ends can be tested. It fails with ErrGone when
// nobody listens any more.
func (s *Stream) Send(ctx context.Context, chunk string) error {
	next := write{chunk: chunk, done: make(chan error, 1)}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.gone:
		return ErrGone
	case s.writes <- next:
		return <-next.done
	}
}

// End ends the response in an orderly way. It may be called more than once.
func (s *Stream) End() { s.finish.Do(func() { close(s.end) }) }

// Started is closed once the response header is out.
func (s *Stream) Started() <-chan struct{} { return s.started }

// Disconnected is closed once the backend saw its client go away.
func (s *Stream) Disconnected() <-chan struct{} { return s.gone }
