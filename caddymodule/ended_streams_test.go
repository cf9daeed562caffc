// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
)

// Streams that are full of events end while Caddy writes one of them, and sets the
// deadline of its idle timeout for it. The race detector looks on.
func TestStreamsEndWhileTheyFlow(t *testing.T) {
	const streams = 64
	for _, version := range []string{"1.1", "2"} {
		t.Run(version, func(t *testing.T) {
			flowing := make(chan struct{}, streams)
			b := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				for n := 0; r.Context().Err() == nil; n++ {
					fmt.Fprintf(w, "data: %d\n\n", n)
					if err := http.NewResponseController(w).Flush(); err != nil {
						return
					}
					if n == 10 {
						flowing <- struct{}{}
					}
				}
			})
			s := newSite(t)
			s.load(s.config("", "mcp_gateway /mcp "+b.addr()))
			token := s.signIn(s.url + "/mcp")
			var clients sync.WaitGroup
			for range streams {
				clients.Go(func() { s.send(version, token, func(*http.Request) {}) })
			}
			for range streams {
				<-flowing
			}
			endAllStreams()
			clients.Wait()
		})
	}
}
