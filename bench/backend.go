// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// envBackend makes this program be the backend, on the address it names.
const envBackend = "MCP_OAUTH_BENCH_BACKEND"

// backend is an MCP server that costs next to nothing, so that what is measured is
// the way to it. It knows the few things the scenarios need.
type backend struct {
	mu      sync.Mutex
	streams map[chan struct{}]bool
	visits  visits
	// poured counts the bytes that pour got rid of.
	poured atomic.Int64
}

func serveBackend(addr string) error {
	b := &backend{streams: map[chan struct{}]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /mcp", b.call)
	mux.HandleFunc("GET /mcp", b.listen)
	mux.HandleFunc("DELETE /mcp", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("POST /broadcast", b.broadcast)
	mux.HandleFunc("GET /visit", b.visits.serve)
	mux.HandleFunc("GET /poured", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, b.poured.Load()) })
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "backend listens on", l.Addr())
	return http.Serve(l, mux)
}

// call answers a tools/call with the id it came with and who it came from. The
// query says how large the answer is, or how many events it has, or that there is none.
func (b *backend) call(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if size, _ := strconv.Atoi(q.Get("size")); size > 0 {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Received", strconv.FormatInt(n, 10))
		_, _ = io.CopyN(w, zeros{}, int64(size))
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	b.visits.watch(r, q.Get("id")) // from here on the server sees the connection end
	if q.Has("hold") {
		hold(w, r)
		return
	}
	id := idOf(body)
	answer := fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"%s"}]}}`,
		id, r.Header.Get("X-Forwarded-User"))
	events, _ := strconv.Atoi(q.Get("events"))
	if events == 0 {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for range events {
		_, _ = fmt.Fprintf(w, "event: message\ndata: %s\n\n", answer)
		_ = http.NewResponseController(w).Flush()
	}
}

// idOf finds the id without decoding: the requests are ours.
func idOf(body []byte) []byte {
	_, rest, _ := bytes.Cut(body, []byte(`"id":`))
	end := bytes.IndexAny(rest, ",}")
	if end < 0 {
		return []byte("null")
	}
	return rest[:end]
}

// listen is a stream that says something at each broadcast, or all the time.
func (b *backend) listen(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	b.visits.watch(r, q.Get("id"))
	news := make(chan struct{}, 16)
	b.mu.Lock()
	b.streams[news] = true
	b.mu.Unlock()
	defer func() { b.mu.Lock(); delete(b.streams, news); b.mu.Unlock() }()
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, ": open\n\n")
	_ = http.NewResponseController(w).Flush()
	if q.Has("pour") {
		pour(w, r, &b.poured)
		return
	}
	for {
		select {
		case <-news:
			_, _ = fmt.Fprintf(w, "data: %d\n\n", time.Now().UnixNano())
			_ = http.NewResponseController(w).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// broadcast answers how many streams it told.
func (b *backend) broadcast(w http.ResponseWriter, _ *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for news := range b.streams {
		select {
		case news <- struct{}{}:
		default: // a reader that does not read
		}
	}
	fmt.Fprint(w, len(b.streams))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
