// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The story: somebody opens streams and reads nothing. Their backend writes until the
// network is full, and the handlers of these requests wait to write more: for the
// revocation, and for the process that is to end, until the client feels like it.
func TestAttackClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testbed){
		"exit":       func(b *testbed) { b.st.streams.endAll(0) },
		"revocation": func(b *testbed) { b.st.streams.endGrant("g") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newTestbed(t)
			r := b.bearerRequest(t.Context(), "g", person("1"))
			stuck, done := make(chan struct{}, 1), make(chan error, 1)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
			end(b)
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
