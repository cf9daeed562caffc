// SPDX-License-Identifier: Apache-2.0

package testmcp

import (
	"crypto/rand"
	"net/http"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Paths of the legacy transport. Servers of that time used two.
const (
	LegacyStreamPath   = "/sse"
	LegacyMessagesPath = "/messages"
)

// Legacy serves a sample server over the HTTP+SSE transport of revision
// 2024-11-05: GET /sse opens the stream, whose first event names the URL under
// /messages that takes the client's side. whoami answers with the headers of
// the GET, for this transport does not tell a tool about the POST.
func Legacy() http.Handler {
	l := &legacy{sessions: make(map[string]*mcp.SSEServerTransport)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+LegacyStreamPath, l.stream)
	mux.HandleFunc("POST "+LegacyMessagesPath, l.message)
	return mux
}

// legacy keeps the open streams by session id.
type legacy struct {
	mu       sync.Mutex
	sessions map[string]*mcp.SSEServerTransport
}

func (l *legacy) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	id := rand.Text()
	transport := &mcp.SSEServerTransport{
		Endpoint: LegacyMessagesPath + "?sessionId=" + id,
		Response: w,
	}
	l.put(id, transport)
	defer l.drop(id)
	session, err := newServer(r.Header.Clone()).Connect(r.Context(), transport, nil)
	if err != nil {
		http.Error(w, "connection failed", http.StatusInternalServerError)
		return
	}
	defer func() { _ = session.Close() }()
	<-r.Context().Done()
}

func (l *legacy) message(w http.ResponseWriter, r *http.Request) {
	transport := l.get(r.URL.Query().Get("sessionId"))
	if transport == nil {
		http.Error(w, "session not found", http.StatusNotFound)
		return
	}
	transport.ServeHTTP(w, r)
}

func (l *legacy) put(id string, t *mcp.SSEServerTransport) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessions[id] = t
}

func (l *legacy) get(id string) *mcp.SSEServerTransport {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sessions[id]
}

func (l *legacy) drop(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.sessions, id)
}
