// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"bufio"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// legacyBackend is a server of the HTTP+SSE transport: every GET is answered with
// an endpoint event naming this URI, everything else is recorded as it arrives.
func (w *world) legacyBackend(endpoint string) (arrived func() []string) {
	var seen []string
	w.backend = func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			rw.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(rw, "event: endpoint\ndata: "+endpoint+"\n\n")
			return
		}
		seen = append(seen, r.URL.RequestURI())
		rw.WriteHeader(http.StatusAccepted)
	}
	return func() []string { defer func() { seen = nil }(); return seen }
}

// openLegacy opens a stream and returns the URI it names, as a client resolves it.
func (w *world) openLegacy(path, tok string) *url.URL {
	w.t.Helper()
	resp := w.get(path, append(bearer(tok), "Accept", "text/event-stream")...)
	text := body(w.t, resp)
	uri, ok := strings.CutPrefix(strings.TrimSuffix(text, "\n\n"), "event: endpoint\ndata: ")
	if resp.StatusCode != http.StatusOK || !ok {
		w.t.Fatalf("stream of %s: %d %q", path, resp.StatusCode, text)
	}
	base, err := url.Parse(issuer + path)
	if err != nil {
		w.t.Fatal(err)
	}
	u, err := base.Parse(uri)
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

func (w *world) post(u string, tok string) *http.Response {
	w.t.Helper()
	return w.postJSON(u, `{}`, bearer(tok)...)
}

func withLegacy(t *testing.T) func(*gateway.Config) {
	return func(c *gateway.Config) {
		guardedPair(t)(c)
		for _, r := range c.Resources {
			r.Policy = rules(t, "any")
			r.Backends = []string{"10.0.0.7:3000"}
		}
	}
}

// What the servers of each SDK name, with or without a host of their own, works
// through the gateway, and the backend sees its own URI again.
func TestLegacySessionsOfEveryServer(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ path, endpoint, public string }{
		"TypeScript":              {"/sse", "/messages?sessionId=6e0c-1", "/messages?sessionId=6e0c-1"},
		"Python":                  {"/sse", "/messages/?session_id=6e0c", "/messages/?session_id=6e0c"},
		"Go":                      {"/sse", "/sse?sessionid=6E0C", "/sse?sessionid=6E0C"},
		"absolute, of itself":     {"/sse", "http://10.0.0.7:3000/messages?sessionId=1", "/messages?sessionId=1"},
		"absolute, of the public": {"/sse", issuer + "/messages?sessionId=1", "/messages?sessionId=1"},
		"with http before proxy":  {"/sse", "http://mcp.example.com/messages?sessionId=1", "/messages?sessionId=1"},
		"relative":                {"/sse", "messages?sessionId=1", "/messages?sessionId=1"},
		"the query alone":         {"/sse", "?sessionId=1", "/sse?sessionId=1"},
		"below the resource":      {"/mcp/sse", "/mcp/message?sessionId=1", "/mcp/message?sessionId=1"},
		"up and down":             {"/mcp/sse", "../messages?sessionId=1", "/messages?sessionId=1"},
		"more in the query":       {"/sse", "/messages?a=%20b&sessionId=1&c", "/messages?a=%20b&sessionId=1&c"},
		"no query":                {"/sse", "/messages", "/messages"},
		"an empty query":          {"/sse", "/messages?", "/messages"},
		"escapes in the path":     {"/sse", "/messages/a%20b?sessionId=1", "/messages/a%20b?sessionId=1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, withLegacy(t))
			arrived, tok := w.legacyBackend(tt.endpoint), w.issue().token
			u := w.openLegacy(tt.path, tok)
			if u.Scheme+"://"+u.Host != issuer || !u.Query().Has("mcp_bind") {
				t.Errorf("endpoint %s", u)
			}
			w.wantStatus(w.post(u.RequestURI(), tok), http.StatusAccepted)
			got := arrived()
			if len(got) != 1 || strings.TrimSuffix(got[0], "?") != tt.public {
				t.Errorf("the backend was asked for %q, want %q", got, tt.public)
			}
			// Clients escape anew what they resolve.
			again := *u
			again.RawQuery = strings.ReplaceAll(u.RawQuery, "%20", "+")
			w.wantStatus(w.post(again.RequestURI(), tok), http.StatusAccepted)
		})
	}
}

// A backend with a path of its own names it in its endpoint, and the client is
// told the public one.
func TestLegacyEndpointBelowABackendPath(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *gateway.Config) {
		c.Resources[0].Path, c.Resources[0].BackendPath = "/weather/sse", "/sse"
	})
	arrived := w.legacyBackend("/sse?sessionid=1")
	tok := w.issue(func(g *storage.Grant) { g.Resource = issuer + "/weather/sse" }).token
	u := w.openLegacy("/weather/sse", tok)
	if u.Path != "/weather/sse" {
		t.Errorf("endpoint %s", u)
	}
	w.wantStatus(w.post(u.RequestURI(), tok), http.StatusAccepted)
	if got := arrived(); len(got) != 1 || got[0] != "/sse?sessionid=1" {
		t.Errorf("the backend was asked for %q", got)
	}
}

// The attack: somebody else who is signed in learns the URI that a stream named,
// from a log, a screen or a shared trace, and posts into the session with a token
// of their own. 404 is what a server says of a session that is over.
func TestLegacySessionOfSomebodyElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withLegacy(t))
	arrived, mine := w.legacyBackend("/messages?sessionId=1"), w.issue()
	u := w.openLegacy("/sse", mine.token)
	for name, tok := range map[string]string{
		"other subject":         w.issue(func(g *storage.Grant) { g.Identity.ID = "1" }).token,
		"other client":          w.issue(func(g *storage.Grant) { g.ClientID = "mcpc_other" }).token,
		"same login, other one": w.issue(func(g *storage.Grant) { g.Identity.ID, g.Identity.Login = "2", "octocat" }).token,
	} {
		for _, method := range []string{"POST", "GET", "DELETE"} {
			resp := w.do(request(method, u.RequestURI(), "", bearer(tok)...))
			if resp.StatusCode != http.StatusNotFound {
				t.Errorf("%s, %s: %d", name, method, resp.StatusCode)
			}
		}
	}
	if got := arrived(); len(got) != 0 {
		t.Errorf("the backend saw %q", got)
	}
	// The same person with a new token, after signing in again, goes on.
	w.wantStatus(w.post(u.RequestURI(), w.issue().token), http.StatusAccepted)
}

// encryption_key is replaced while a session is open: it goes on for as long as the
// old key is accepted.
func TestLegacySessionAcrossAKeyRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withLegacy(t))
	w.legacyBackend("/messages?sessionId=1")
	tok := w.issue().token
	u := w.openLegacy("/sse", tok)
	w.state.SetRing(token.NewRing(token.Key{2}, token.Key{1}))
	w.wantStatus(w.post(u.RequestURI(), tok), http.StatusAccepted)
	next := w.openLegacy("/sse", tok)
	if next.RawQuery == u.RawQuery {
		t.Error("the old key is still in use")
	}
	w.wantStatus(w.post(next.RequestURI(), tok), http.StatusAccepted)
}

// The proof of one URI is good for no other: not for another session, not at
// another path or resource, and not for two sessions at once.
func TestLegacyProofIsForOneURI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withLegacy(t))
	arrived, tok := w.legacyBackend("/messages?sessionId=mine"), w.issue().token
	proof := w.openLegacy("/sse", tok).Query().Get("mcp_bind")
	ops := w.issue(func(g *storage.Grant) { g.Resource = issuer + "/ops" }).token
	for name, target := range map[string]string{
		"another session":      "/messages?sessionId=theirs&mcp_bind=" + proof,
		"two sessions":         "/messages?sessionId=mine&sessionId=theirs&mcp_bind=" + proof,
		"two, theirs first":    "/messages?sessionId=theirs&sessionId=mine&mcp_bind=" + proof,
		"behind a semicolon":   "/messages?sessionId=mine;sessionId=theirs&mcp_bind=" + proof,
		"another spelling":     "/messages?sessionId=mine&session_id=theirs&mcp_bind=" + proof,
		"another name":         "/messages?session_id=mine&mcp_bind=" + proof,
		"another path":         "/sse?sessionId=mine&mcp_bind=" + proof,
		"below it":             "/messages/x?sessionId=mine&mcp_bind=" + proof,
		"without the session":  "/messages?mcp_bind=" + proof,
		"proof twice":          "/messages?sessionId=mine&mcp_bind=" + proof + "&mcp_bind=" + proof,
		"proof and a fake":     "/messages?sessionId=mine&mcp_bind=x&mcp_bind=" + proof,
		"no proof":             "/messages?sessionId=mine",
		"empty proof":          "/messages?sessionId=mine&mcp_bind=",
		"shortened proof":      "/messages?sessionId=mine&mcp_bind=" + proof[1:],
		"changed proof":        "/messages?sessionId=mine&mcp_bind=" + flip(proof),
		"proof in other case":  "/messages?sessionId=mine&MCP_BIND=" + proof,
		"session id's own MAC": "/messages?sessionId=mine&mcp_bind=" + token.NewRing(token.Key{1}).MAC(token.PurposeSession, "github:583231", "mcpc_test", resource, "mine"),
		"proof of another key": "/messages?sessionId=mine&mcp_bind=" + token.NewRing(token.Key{9}).MAC(token.PurposeEndpoint, "github:583231", "mcpc_test", resource, "/messages", "&sessionId=mine"),
	} {
		if resp := w.post(target, tok); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	if resp := w.post("/ops?sessionId=mine&mcp_bind="+proof, ops); resp.StatusCode != http.StatusNotFound {
		t.Errorf("at another resource: %d", resp.StatusCode)
	}
	if got := arrived(); len(got) != 0 {
		t.Errorf("the backend saw %q", got)
	}
}

// The attack: leave the proof out and write the parameter in a way that the
// gateway does not recognise but the backend does. qs of Express takes brackets
// for nesting, ASP.NET ignores case, old Pythons split at semicolons.
func TestSessionParameterInDisguise(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withLegacy(t))
	arrived, tok := w.legacyBackend("/messages?sessionId=mine"), w.issue().token
	for _, query := range []string{
		"sessionId=1", "session_id=1", "sessionid=1", "SESSIONID=1", "SessionID=1", "session-id=1", "session.id=1",
		"%73essionId=1", "session%49d=1", "session%5Fid=1", "sessionId%5B%5D=1", "sessionId[]=1", "sessionId[0]=1",
		"[sessionId]=1", "x[sessionId]=1", "?sessionId=1", "a=b&sessionId=1", "a=b;sessionId=1", "a=b;c;sessionId=1",
		"&&sessionId=1", "sessionId", "sessionId=", "+sessionId=1", "sessionId+=1", "sessionId%00=1", "sessionId%20=1",
		"%zz[sessionId]=1", "\u017fessionId=1", "%C5%BFessionId=1", "sessionId=1&mcp_bin=x",
	} {
		r := request(http.MethodPost, "/messages", "{}", bearer(tok)...)
		r.URL.RawQuery = query
		if resp := w.do(r); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%q: %d", query, resp.StatusCode)
		}
	}
	if got := arrived(); len(got) != 0 {
		t.Errorf("the backend saw %q", got)
	}
	for _, query := range []string{"", "session=1", "sid=1", "mySessionId=1", "sessionIds=1", "q=sessionId", "profile=x&api=sessionId=1"} {
		r := request(http.MethodPost, "/messages", "{}", bearer(tok)...)
		r.URL.RawQuery = query
		w.wantStatus(w.do(r), http.StatusAccepted)
		if got := arrived(); len(got) != 1 || strings.TrimPrefix(got[0], "/messages") != strings.TrimSuffix("?"+query, "?") {
			t.Errorf("%q arrived as %q", query, got)
		}
	}
}

// An endpoint that leads elsewhere, or that brings a proof of its own, is not ours
// to sign: it passes as it is, and whoever it is for is not let in.
func TestLegacyEndpointsThatAreNotBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withLegacy(t))
	tok := w.issue().token
	for _, endpoint := range []string{
		"https://evil.example/messages?sessionId=1", "//evil.example/messages?sessionId=1", "http://10.0.0.7:3001/messages?sessionId=1",
		"javascript:alert(1)", "mailto:x@y", "/messages?sessionId=1#x", "/messages?sessionId=1#", "/messages?sessionId=1&mcp_bind=x",
		"/messages%zz?sessionId=1", "http://[::1/x", "ftp://mcp.example.com/messages?sessionId=1",
	} {
		w.legacyBackend(endpoint)
		text := body(t, w.get("/sse", append(bearer(tok), "Accept", "text/event-stream")...))
		if text != "event: endpoint\ndata: "+endpoint+"\n\n" {
			t.Errorf("%s became %q", endpoint, text)
		}
	}
	if !strings.Contains(w.log.String(), "legacy session left unbound") {
		t.Error("the operator is not told")
	}
	w.wantStatus(w.post("/messages?sessionId=1", tok), http.StatusNotFound)
}

// Only a stream that answers a GET is of the legacy transport.
func TestOnlyLegacyStreamsAreRewritten(t *testing.T) {
	t.Parallel()
	const event = "event: endpoint\ndata: /messages?sessionId=1\n\n"
	for name, tt := range map[string]struct {
		method string
		status int
		header []string
		bound  bool
	}{
		"a stream":             {"GET", 200, []string{"Content-Type", "text/event-stream"}, true},
		"with parameters":      {"GET", 200, []string{"Content-Type", "Text/Event-Stream; charset=utf-8"}, true},
		"identity":             {"GET", 200, []string{"Content-Type", "text/event-stream", "Content-Encoding", "identity"}, true},
		"an answer to a POST":  {"POST", 200, []string{"Content-Type", "text/event-stream"}, false},
		"a page":               {"GET", 200, []string{"Content-Type", "text/plain"}, false},
		"an error":             {"GET", 400, []string{"Content-Type", "text/event-stream"}, false},
		"compressed":           {"GET", 200, []string{"Content-Type", "text/event-stream", "Content-Encoding", "br"}, false},
		"of known length":      {"GET", 200, []string{"Content-Type", "text/event-stream", "Content-Length", "46"}, false},
		"in two encodings too": {"GET", 200, []string{"Content-Type", "text/event-stream", "Content-Encoding", "gzip, identity"}, false},
	} {
		w := newWorld(t)
		w.backend = func(rw http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Accept-Encoding"); r.Method == http.MethodGet && got != "identity" {
				t.Errorf("the backend may answer in %q", got)
			}
			for i := 0; i < len(tt.header); i += 2 {
				rw.Header().Set(tt.header[i], tt.header[i+1])
			}
			rw.WriteHeader(tt.status)
			for _, b := range strings.SplitAfter(event, " ") {
				if n, err := io.WriteString(rw, b); n != len(b) || err != nil {
					t.Errorf("%s: wrote %d of %d, %v", name, n, len(b), err)
				}
			}
		}
		resp := w.do(request(tt.method, "/mcp", "", append(bearer(w.issue().token),
			"Accept", "application/json, text/event-stream", "Accept-Encoding", "gzip, br")...))
		if text := body(t, resp); strings.Contains(text, "mcp_bind=") != tt.bound || !tt.bound && text != event {
			t.Errorf("%s: %q", name, text)
		}
	}
}

// Over a real proxy and a real connection: the endpoint event is with the client
// before the backend sends anything else, however it is cut, and an event that
// never ends is let go with the stream.
func TestLegacyEndpointArrivesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front, back := w.proxied()
	tok := w.issue().token
	stream := testmcp.NewStream(nil)
	back.Next(stream.Reply)
	resp := fetch(t, "GET", front+"/mcp", nil, append(bearer(tok), "Accept", "text/event-stream")...)
	lines := bufio.NewReader(resp.Body)
	send := func(chunk string) {
		t.Helper()
		if err := stream.Send(t.Context(), chunk); err != nil {
			t.Fatal(err)
		}
	}
	next := func() string {
		t.Helper()
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
	send(": welcome\r\n")
	if got := next(); got != ": welcome\r\n" {
		t.Errorf("got %q", got)
	}
	send("event: endp")
	send("oint\r\ndata: /mcp?sess")
	send("ionId=1\r")
	send("\n\r\n")
	if got := next() + next() + next(); !strings.HasPrefix(got, "event: endpoint\r\ndata: /mcp?sessionId=1&mcp_bind=") || !strings.HasSuffix(got, "\r\n\r\n") {
		t.Errorf("got %q", got)
	}
	send("data: {}\n")
	if got := next(); got != "data: {}\n" {
		t.Errorf("got %q", got)
	}
}

// A stream that ends within its first event loses nothing.
func TestLegacyEndpointThatNeverEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const cut = ": hello\n\nevent: endpoint\ndata: /mess"
	w.backend = func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(rw, cut)
	}
	if got := body(t, w.get("/mcp", bearer(w.issue().token)...)); got != cut {
		t.Errorf("got %q, want %q", got, cut)
	}
}
