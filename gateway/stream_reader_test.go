// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// The story: somebody opens streams and reads nothing. Their backend writes until the
// network is full, and the handlers of these requests wait to write more: for the
// revocation, and for the process that is to end, until the client feels like it. Or
// until the deadline that Caddy sets for a write, which may come after ours.
func TestAttackClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	type ending = func(*testbed, *http.ResponseController)
	for name, end := range map[string]ending{
		"exit":       func(b *testbed, _ *http.ResponseController) { b.st.streams.endAll(0) },
		"revocation": func(b *testbed, _ *http.ResponseController) { b.st.streams.endGrant("g") },
		"another deadline": func(b *testbed, c *http.ResponseController) {
			b.st.streams.endGrant("g")
			_ = c.SetWriteDeadline(time.Now().Add(time.Hour))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newTestbed(t)
			r := b.bearerRequest(t.Context(), "g", person("1"))
			stuck, done := make(chan struct{}, 1), make(chan error, 1)
			controllers := make(chan *http.ResponseController, 1)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				controllers <- http.NewResponseController(w)
				done <- b.guard.Serve(w, r, "/mcp", writeUntilStuck(stuck))
			}))
			// Not Close, which waits for what this test is about.
			defer func() { server.CloseClientConnections(); server.Listener.Close() }()

			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
				t.Fatal(err)
			}
			r.Host = "localhost"
			if err := r.Write(conn); err != nil {
				t.Fatal(err)
			}
			<-stuck
			end(b, <-controllers)
			select {
			case <-done:
			case <-time.After(30 * time.Second):
				t.Fatal("the request goes on")
			}
		})
	}
}

// writeUntilStuck is a backend's stream without an end. It says when a write takes
// longer than writing does.
func writeUntilStuck(stuck chan<- struct{}) Next {
	return func(w http.ResponseWriter, r *http.Request, _ *Admitted) error {
		w.Header().Set("Content-Type", "text/event-stream")
		event := []byte("data: " + strings.Repeat("x", 64<<10) + "\n\n")
		for {
			waiting := time.AfterFunc(500*time.Millisecond, func() { stuck <- struct{}{} })
			_, err := w.Write(event)
			waiting.Stop()
			if err != nil {
				return err
			}
			if r.Context().Err() != nil {
				return context.Cause(r.Context())
			}
		}
	}
}

// unsafeDeadline is a wrapper that remembers the deadlines it was given, like that of
// Caddy's idle timeouts, and like it only for the goroutine of the handler.
type unsafeDeadline struct {
	http.ResponseWriter
	last time.Time
}

func (w *unsafeDeadline) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *unsafeDeadline) SetWriteDeadline(t time.Time) error {
	w.last = t
	return http.NewResponseController(w.ResponseWriter).SetWriteDeadline(t)
}

func (w *unsafeDeadline) Write(p []byte) (int, error) {
	if !w.last.IsZero() {
		return 0, os.ErrDeadlineExceeded
	}
	return w.ResponseWriter.Write(p)
}

// The race detector looks at this: streams that are written to are ended by others.
// When the handler is done its wrappers know of a deadline.
func TestEndedWhileItIsWritten(t *testing.T) {
	t.Parallel()
	b := newTestbed(t)
	var open, done sync.WaitGroup
	wrappers := make(chan *unsafeDeadline, 64)
	for range cap(wrappers) {
		open.Add(1)
		done.Go(func() {
			r := b.bearerRequest(t.Context(), "g", person("1"))
			w := &unsafeDeadline{ResponseWriter: deadlineRecorder{httptest.NewRecorder()}}
			_ = b.guard.Serve(w, r, "/mcp", func(w http.ResponseWriter, r *http.Request, _ *Admitted) error {
				w.Header().Set("Content-Type", "text/event-stream")
				_, err := w.Write([]byte("data: 1\n\n"))
				open.Done()
				for err == nil && r.Context().Err() == nil {
					_, err = w.Write([]byte("data: 2\n\n"))
				}
				return err
			})
			wrappers <- w
		})
	}
	open.Wait()
	b.st.streams.endGrant("g")
	done.Wait()
	close(wrappers)
	for w := range wrappers {
		if w.last.IsZero() {
			t.Fatal("a stream ended, and what the server still has to send has all the time in the world")
		}
	}
}

// deadlineRecorder has deadlines.
type deadlineRecorder struct{ *httptest.ResponseRecorder }

func (deadlineRecorder) SetWriteDeadline(time.Time) error { return nil }
