// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
)

// R8.11: a 401 of the backend would send the client into a sign-in that cannot help.
func TestBackendChallengeBecomes502(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front, back := w.proxied()
	back.Always(testmcp.Challenge(`Basic realm="backend"`, `Bearer resource_metadata="https://evil.example"`))
	resp := fetch(t, "POST", front+"/mcp", strings.NewReader("{}"), bearer(w.issue().token)...)
	w.wantStatus(resp, 502)
	if got := resp.Header.Values("WWW-Authenticate"); len(got) > 0 {
		t.Errorf("WWW-Authenticate %q", got)
	}
	if !strings.Contains(w.log.String(), "backend asked for credentials") {
		t.Error("the operator is not told")
	}
}

// R10.2: clients decide by the bytes of a 4xx which era they speak with.
func TestOtherAnswersPassByteForByte(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front, back := w.proxied()
	header := bearer(w.issue().token)
	const odd = "{ \"jsonrpc\" : \"2.0\",\r\n\"error\":{\"code\":-32022 },\t\"id\":null}\n\x00\xff"
	for _, status := range []int{200, 202, 204, 206, 304, 400, 402, 403, 404, 405, 406, 409, 410, 415, 418, 422, 429, 431, 500, 502, 503, 504} {
		body := odd
		if status == 204 || status == 304 {
			body = ""
		}
		back.Always(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header()["Content-Type"] = []string{"application/json"}
			rw.Header()["X-Custom"] = []string{"a", "b"}
			rw.Header()["Www-Authenticate"] = []string{"Bearer"}
			rw.WriteHeader(status)
			_, _ = io.WriteString(rw, body)
		})
		resp := fetch(t, "POST", front+"/mcp", strings.NewReader("{}"), header...)
		if resp.StatusCode != status {
			t.Errorf("status %d became %d", status, resp.StatusCode)
		}
		if got := bodyOf(t, resp); got != body {
			t.Errorf("%d: body %q", status, got)
		}
		if diff := cmp.Diff([]string{"a", "b"}, resp.Header["X-Custom"]); diff != "" || resp.Header["Www-Authenticate"] != nil {
			t.Errorf("%d: header %v", status, resp.Header)
		}
	}
}

func bodyOf(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// R10.24: 202 without a body is the answer to a notification and stays so.
func TestAcceptedWithoutBodyStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front, back := w.proxied()
	back.Always(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusAccepted) })
	resp := fetch(t, "POST", front+"/mcp", strings.NewReader("{}"), bearer(w.issue().token)...)
	if got := bodyOf(t, resp); resp.StatusCode != 202 || got != "" || resp.ContentLength != 0 || resp.Header.Get("Content-Type") != "" {
		t.Errorf("%d %q length %d %v", resp.StatusCode, got, resp.ContentLength, resp.Header)
	}
}

// The attack: the backend, or who controls one answer of it, speaks in the
// gateway's name: CORS for any page, our cookies.
func TestBackendCannotSpeakForTheGateway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *gateway.Config) { c.Resources[0].AllowedOrigins = []string{"https://app.example"} })
	front, back := w.proxied()
	back.Always(testmcp.Respond(200, http.Header{
		"Access-Control-Allow-Origin": {"*"}, "Access-Control-Allow-Credentials": {"true"}, "access-control-max-age": {"1"},
		"Access-Control-Allow-Private-Network": {"true"}, "Www-Authenticate": {"Bearer"}, "Vary": {"Accept"},
		"Set-Cookie": {
			"__Host-mcp_browser=planted; Path=/; Secure", "theme=dark", " mcp_state_abc=planted", "=mcp_browser_8080=planted",
			"== \tmcp_state=planted", "__Host-mcp_state_abc; Path=/", "lang=mcp_browser", "x__Host-mcp_browser=mine",
		},
	}, []byte("{}")))
	header := bearer(w.issue().token)
	resp := fetch(t, "POST", front+"/mcp", strings.NewReader("{}"), header...)
	if diff := cmp.Diff([]string{"theme=dark", "lang=mcp_browser", "x__Host-mcp_browser=mine"}, resp.Header["Set-Cookie"]); diff != "" {
		t.Errorf("Set-Cookie (-want +got):\n%s", diff)
	}
	for name := range resp.Header {
		if strings.HasPrefix(name, "Access-Control-") || name == "Www-Authenticate" {
			t.Errorf("%s: %q", name, resp.Header[name])
		}
	}
	resp = fetch(t, "POST", front+"/mcp", strings.NewReader("{}"), append(header, "Origin", "https://app.example")...)
	if got := resp.Header["Access-Control-Allow-Origin"]; len(got) != 1 || got[0] != "https://app.example" {
		t.Errorf("Access-Control-Allow-Origin %q", got)
	}
	if got := resp.Header["Access-Control-Allow-Credentials"]; got != nil {
		t.Errorf("Access-Control-Allow-Credentials %q", got)
	}
	if diff := cmp.Diff([]string{"Origin", "Accept"}, resp.Header["Vary"]); diff != "" {
		t.Errorf("Vary (-want +got):\n%s", diff)
	}
	back.Always(testmcp.Respond(200, http.Header{"Set-Cookie": {"mcp_browser=planted"}}, nil))
	if resp := fetch(t, "GET", front+"/mcp", nil, header...); resp.Header["Set-Cookie"] != nil {
		t.Errorf("Set-Cookie %q", resp.Header["Set-Cookie"])
	}
}

// Informational answers pass as they come, without what the backend may not say.
func TestInformationalAnswersPass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front, back := w.proxied()
	back.Always(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Link", "</style.css>; rel=preload")
		rw.Header().Set("Set-Cookie", "mcp_browser=planted")
		rw.Header().Set("Mcp-Session-Id", "s1")
		rw.WriteHeader(http.StatusEarlyHints)
		rw.Header().Del("Link")
		rw.WriteHeader(http.StatusCreated)
	})
	var hints []textproto.MIMEHeader
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if code != http.StatusEarlyHints {
				t.Errorf("informational %d", code)
			}
			hints = append(hints, h)
			return nil
		},
	})
	r, _ := http.NewRequestWithContext(ctx, "GET", front+"/mcp", nil)
	r.Header.Set("Authorization", "Bearer "+w.issue().token)
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if len(hints) != 1 || hints[0].Get("Link") == "" || hints[0].Get("Set-Cookie") != "" {
		t.Errorf("hints %v", hints)
	}
	if id := resp.Header.Get("Mcp-Session-Id"); resp.StatusCode != 201 || strings.Count(id, ".") != 1 || !strings.HasPrefix(id, "s1.") {
		t.Errorf("%d, session id %q, want it bound once", resp.StatusCode, id)
	}
}

// Nobody asked for another protocol, so a switch is a fault of the backend, and
// nothing behind the guard may take the connection over.
func TestNoProtocolSwitch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tok := w.issue().token
	hijacked := make(chan error, 1)
	w.backend = func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(http.StatusSwitchingProtocols)
		_, _, err := http.NewResponseController(rw).Hijack()
		hijacked <- err
	}
	srv := httptest.NewServer(w)
	defer srv.Close()
	resp := fetch(t, "GET", srv.URL+"/mcp", nil, append(bearer(tok), "Connection", "Upgrade", "Upgrade", "websocket")...)
	w.wantStatus(resp, 502)
	if err := <-hijacked; !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("hijack: %v", err)
	}
}

// A flush may be what sends the header, and some handlers write none at all.
func TestHeaderIsEditedHoweverItIsSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tok := w.issue().token
	for name, send := range map[string]func(http.ResponseWriter){
		"WriteHeader":        func(rw http.ResponseWriter) { rw.WriteHeader(200) },
		"twice":              func(rw http.ResponseWriter) { rw.WriteHeader(200); rw.WriteHeader(500) },
		"Write":              func(rw http.ResponseWriter) { _, _ = rw.Write([]byte("x")) },
		"ReadFrom":           func(rw http.ResponseWriter) { _, _ = io.Copy(rw, strings.NewReader("x")) },
		"Flush":              func(rw http.ResponseWriter) { rw.(http.Flusher).Flush() },
		"ResponseController": func(rw http.ResponseWriter) { _ = http.NewResponseController(rw).Flush() },
		"nothing":            func(http.ResponseWriter) {},
	} {
		w.backend = func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("WWW-Authenticate", "Basic")
			rw.Header().Set("Access-Control-Allow-Origin", "*")
			rw.Header().Set("Mcp-Session-Id", "s1")
			send(rw)
			rw.Header().Set("WWW-Authenticate", "too late")
		}
		srv := httptest.NewServer(w)
		resp := fetch(t, "GET", srv.URL+"/mcp", nil, bearer(tok)...)
		if id := resp.Header.Get("Mcp-Session-Id"); resp.StatusCode != 200 || strings.Count(id, ".") != 1 ||
			resp.Header["Access-Control-Allow-Origin"] != nil || resp.Header["Www-Authenticate"] != nil {
			t.Errorf("%s: %d %v", name, resp.StatusCode, resp.Header)
		}
		srv.Close()
	}
}

// What a response controller can do on the server's own writer works through ours.
func TestResponseControllerWorksThroughTheGuard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	result := make(chan error, 1)
	w.backend = func(rw http.ResponseWriter, _ *http.Request) {
		c := http.NewResponseController(rw)
		soon := time.Now().Add(time.Minute)
		result <- errors.Join(c.EnableFullDuplex(), c.SetReadDeadline(soon), c.SetWriteDeadline(soon), c.Flush())
	}
	srv := httptest.NewServer(w)
	defer srv.Close()
	w.wantStatus(fetch(t, "GET", srv.URL+"/mcp", nil, bearer(w.issue().token)...), 200)
	if err := <-result; err != nil { // Flush answers the client before it returns
		t.Error(err)
	}
}

// R10.19: an event is with the client before the backend makes the next one.
func TestEventIsVisibleBeforeTheNextIsSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front, back := w.proxied()
	next := make(chan struct{})
	back.Always(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		for _, event := range []string{": keep-alive\n\n", "id: 1\nretry: 5\ndata: {}\n\n", "data: last\r\n\r\n"} {
			_, _ = io.WriteString(rw, event)
			_ = http.NewResponseController(rw).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	})
	resp := fetch(t, "GET", front+"/mcp", nil, bearer(w.issue().token)...)
	events := bufio.NewReader(resp.Body)
	for _, want := range []string{": keep-alive\n\n", "id: 1\nretry: 5\ndata: {}\n\n", "data: last\r\n\r\n"} {
		got := make([]byte, len(want))
		if _, err := io.ReadFull(events, got); err != nil || string(got) != want {
			t.Fatalf("got %q %v, want %q", got, err, want)
		}
		next <- struct{}{}
	}
	if rest, err := io.ReadAll(events); err != nil || len(rest) > 0 {
		t.Errorf("rest %q %v", rest, err)
	}
}

// Over the wire: the client hangs up and the backend knows; the grant is revoked
// and both know.
func TestStreamsEndOverTheWire(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front, back := w.proxied()
	clientID, tok := w.tokens()
	hang := testmcp.NewHang()
	back.Next(hang.Reply)
	ctx, hangUp := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		r, _ := http.NewRequestWithContext(ctx, "POST", front+"/mcp", strings.NewReader("{}"))
		r.Header.Set("Authorization", "Bearer "+tok.AccessToken)
		if resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r); err == nil {
			_ = resp.Body.Close()
			t.Error("an answer")
		}
	})
	await(t, hang.Started(), "the request at the backend")
	hangUp()
	await(t, hang.Disconnected(), "the hang-up at the backend")
	done.Wait()

	started, gone := make(chan struct{}), make(chan struct{})
	back.Next(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(rw).Flush()
		close(started)
		<-r.Context().Done()
		close(gone)
	})
	resp := fetch(t, "GET", front+"/mcp", nil, bearer(tok.AccessToken)...)
	<-started
	w.clock.Advance(time.Hour) // expiry alone does not cut a stream
	second := decode[tokens](t, w.postForm("/token", refreshForm(clientID, tok.RefreshToken)))
	w.postForm("/token", refreshForm(clientID, second.RefreshToken))
	select {
	case <-gone:
		t.Error("the stream ended without a reason")
	default:
	}
	w.clock.Advance(20 * time.Minute)
	w.wantStatus(w.postForm("/token", refreshForm(clientID, tok.RefreshToken)), 400) // reuse: revoked
	await(t, gone, "the revoked stream's end")
	_, _ = io.ReadAll(resp.Body) // ends
}

// await fails instead of hanging where what must happen over the wire does not.
func await(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		t.Fatalf("waited in vain for %s", what)
	}
}
