// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// deadlineWriter is a server's: what is written past its deadline fails.
type deadlineWriter struct {
	*httptest.ResponseRecorder
	deadline atomic.Pointer[time.Time]
}

func (w *deadlineWriter) SetWriteDeadline(t time.Time) error {
	w.deadline.Store(&t)
	return nil
}

func (w *deadlineWriter) Write(p []byte) (int, error) {
	if t := w.deadline.Load(); t != nil && !time.Now().Before(*t) {
		return 0, os.ErrDeadlineExceeded
	}
	return w.ResponseRecorder.Write(p)
}

// idleWriter sets a deadline for every write, as Caddy does unless told otherwise. It
// keeps to an earlier one that it was told of, and knows of no other.
type idleWriter struct {
	*deadlineWriter
	ceiling time.Time
}

func (w *idleWriter) Unwrap() http.ResponseWriter { return w.deadlineWriter }

func (w *idleWriter) SetWriteDeadline(t time.Time) error {
	w.ceiling = t
	return w.deadlineWriter.SetWriteDeadline(t)
}

func (w *idleWriter) Write(p []byte) (int, error) {
	deadline := time.Now().Add(time.Minute)
	if !w.ceiling.IsZero() && w.ceiling.Before(deadline) {
		deadline = w.ceiling
	}
	_ = w.deadlineWriter.SetWriteDeadline(deadline)
	return w.deadlineWriter.Write(p)
}

// The story: a backend is spoken to by FastCGI, where the proxy does not notice that a
// request was ended. The grant is revoked, and the client reads every event: each write
// has a minute, and there is always another. Whether events come fast or slowly, none
// arrives that was sent later than we give a client to read.
func TestAttackStreamOfAProxyThatDoesNotNotice(t *testing.T) {
	t.Parallel()
	for _, pause := range []time.Duration{300 * time.Millisecond, 700 * time.Millisecond, 3 * time.Second} {
		t.Run(pause.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newTestbed(t)
				var revoked time.Time
				w := &idleWriter{deadlineWriter: &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}}
				err := b.guard.Serve(w, b.bearerRequest(t.Context(), "g", person("1")), "/mcp", func(w http.ResponseWriter, _ *http.Request, _ *Admitted) error {
					w.Header().Set("Content-Type", "text/event-stream")
					for n := range 20 {
						if n == 3 {
							b.st.streams.endGrant("g")
							revoked = time.Now()
						}
						time.Sleep(pause)
						if _, err := w.Write([]byte("data: 1\n\n")); err != nil {
							return err
						}
						if n >= 3 && time.Since(revoked) > lastWords {
							t.Errorf("an event %v after the revocation", time.Since(revoked))
						}
					}
					return nil
				})
				if err == nil {
					t.Error("the stream went on to its end")
				}
			})
		})
	}
}

// The story: a stream ends with its grant, and its connection is used for the next
// request, or is gone. A deadline that comes a second late would break that off, and
// over HTTP/2 use what the server took back when the handler returned.
func TestNoDeadlineAfterTheHandler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newTestbed(t)
		w := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
		err := b.guard.Serve(w, b.bearerRequest(t.Context(), "g", person("1")), "/mcp", func(w http.ResponseWriter, r *http.Request, _ *Admitted) error {
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(http.StatusOK)
			b.st.streams.endGrant("g")
			<-r.Context().Done()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		last := w.deadline.Load()
		if last == nil || !last.Equal(time.Now().Add(lastWords)) {
			t.Fatalf("what the server still sends has until %v", last)
		}
		time.Sleep(5 * lastWords)
		if w.deadline.Load() != last {
			t.Errorf("another deadline came after the handler: %v", w.deadline.Load())
		}
	})
}
