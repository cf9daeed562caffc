// SPDX-License-Identifier: Apache-2.0

package testmcp_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
)

func scripted(t *testing.T) (*testmcp.Scripted, string) {
	t.Helper()
	s := &testmcp.Scripted{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestScriptedRecordsTheRequestVerbatim(t *testing.T) {
	t.Parallel()
	s, url := scripted(t)
	body := strings.NewReader("{\"id\":1}\n")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/a%2Fb/mcp?x=1&x=2&y=%20", io.MultiReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header["X-Two"] = []string{"a", "b"}
	req.Trailer = http.Header{"X-Late": {"t"}}
	arrived := s.Arrived()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	<-arrived

	got, ok := s.Last()
	if !ok {
		t.Fatal("nothing recorded")
	}
	want := testmcp.Request{
		Method: "POST", URI: "/a%2Fb/mcp?x=1&x=2&y=%20", Path: "/a/b/mcp", RawQuery: "x=1&x=2&y=%20",
		Host: strings.TrimPrefix(url, "http://"), Proto: "HTTP/1.1",
		Body: []byte("{\"id\":1}\n"), Trailer: http.Header{"X-Late": {"t"}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(testmcp.Request{}, "Header")); diff != "" {
		t.Errorf("recorded request (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a", "b"}, got.Header["X-Two"]); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1", "2"}, got.Query()["x"]); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
}

func TestScriptedRepliesInOrder(t *testing.T) {
	t.Parallel()
	s, url := scripted(t)
	s.Always(testmcp.JSON(http.StatusOK, "{}"))
	s.Next(
		testmcp.Challenge(`Bearer realm="b"`, "Basic"),
		testmcp.Redirect(http.StatusTemporaryRedirect, "http://127.0.0.1:3000/mcp/"),
		testmcp.Respond(http.StatusTeapot, http.Header{"set-cookie": {"a=1", "b=2"}}, []byte("\x00raw")),
	)
	steps := []struct {
		status       int
		header, body string
		values       []string
	}{
		{status: 401, header: "Www-Authenticate", values: []string{`Bearer realm="b"`, "Basic"}, body: "unauthorized\n"},
		{status: 307, header: "Location", values: []string{"http://127.0.0.1:3000/mcp/"}},
		{status: 418, header: "Set-Cookie", values: []string{"a=1", "b=2"}, body: "\x00raw"},
		{status: 200, header: "Content-Type", values: []string{"application/json"}, body: "{}"},
		{status: 200, header: "Content-Type", values: []string{"application/json"}, body: "{}"},
	}
	for i, step := range steps {
		resp, body := get(t, url)
		if resp.StatusCode != step.status || body != step.body {
			t.Errorf("reply %d: %d %q, want %d %q", i, resp.StatusCode, body, step.status, step.body)
		}
		if diff := cmp.Diff(step.values, resp.Header[step.header]); diff != "" {
			t.Errorf("reply %d: %s (-want +got):\n%s", i, step.header, diff)
		}
	}
	if got := len(s.Requests()); got != len(steps) {
		t.Errorf("%d requests recorded, want %d", got, len(steps))
	}
	s.Reset()
	if _, ok := s.Last(); ok {
		t.Error("a request survived Reset")
	}
	if resp, body := get(t, url); resp.StatusCode != http.StatusOK || body != "" {
		t.Errorf("after Reset: %d %q, want an empty 200", resp.StatusCode, body)
	}
}

func TestScriptedTrailer(t *testing.T) {
	t.Parallel()
	s, url := scripted(t)
	s.Next(testmcp.WithTrailer([]byte("body"), http.Header{"X-Sum": {"1"}}))
	resp, body := get(t, url)
	if diff := cmp.Diff(http.Header{"X-Sum": {"1"}}, resp.Trailer); diff != "" || body != "body" {
		t.Errorf("body %q, trailer (-want +got):\n%s", body, diff)
	}
}

func TestScriptedAbortCutsTheBody(t *testing.T) {
	t.Parallel()
	s, url := scripted(t)
	s.Next(testmcp.Abort(http.Header{"Content-Type": {"text/event-stream"}}, []byte("data: half")))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if string(body) != "data: half" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %q, %v; want the partial body and an unexpected EOF", body, err)
	}
}

func TestHangReportsTheDisconnect(t *testing.T) {
	t.Parallel()
	s, url := scripted(t)
	hang := testmcp.NewHang()
	s.Next(hang.Reply)
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-hang.Started()
		cancel()
	}()
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		_ = resp.Body.Close()
		t.Fatal("a hanging request was answered")
	}
	waitFor(t, hang.Disconnected(), "the disconnect")
}

func TestHangCanBeReleased(t *testing.T) {
	t.Parallel()
	s, url := scripted(t)
	hang := testmcp.NewHang()
	s.Next(hang.Reply)
	go func() {
		<-hang.Started()
		hang.Release()
		hang.Release()
	}()
	if resp, _ := get(t, url); resp.StatusCode != http.StatusOK {
		t.Errorf("status %d, want 200", resp.StatusCode)
	}
}

// Every event is on the wire when Send returns: the next is not sent before the
// client has read it.
func TestStreamIsUnderTestControl(t *testing.T) {
	t.Parallel()
	s, url := scripted(t)
	stream := testmcp.NewStream(http.Header{"X-Accel-Buffering": {"no"}})
	s.Next(stream.Reply)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	waitFor(t, stream.Started(), "the start")
	if got := resp.Header.Get("X-Accel-Buffering"); got != "no" {
		t.Errorf("X-Accel-Buffering %q", got)
	}
	lines := bufio.NewReader(resp.Body)
	for _, chunk := range []string{": ping\n", "id: 1\rdata: x\n"} {
		if err := stream.Send(ctx, chunk); err != nil {
			t.Fatalf("send: %v", err)
		}
		if got, err := lines.ReadString('\n'); err != nil || got != chunk {
			t.Fatalf("read %q, %v; want %q", got, err, chunk)
		}
	}
	cancel()
	waitFor(t, stream.Disconnected(), "the disconnect")
	if err := stream.Send(t.Context(), "data: late\n\n"); !errors.Is(err, testmcp.ErrGone) {
		t.Errorf("send after the disconnect: %v, want ErrGone", err)
	}
}

func TestStreamEndsInOrder(t *testing.T) {
	t.Parallel()
	s, url := scripted(t)
	stream := testmcp.NewStream(nil)
	s.Next(stream.Reply)
	go func() {
		if err := stream.Send(t.Context(), "data: 1\n\n"); err != nil {
			t.Errorf("send: %v", err)
		}
		stream.End()
		stream.End()
	}()
	resp, body := get(t, url)
	if resp.Header.Get("Content-Type") != "text/event-stream" || body != "data: 1\n\n" {
		t.Errorf("%v %q", resp.Header, body)
	}
}

func waitFor(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(5 * time.Second):
		t.Fatalf("%s did not come within 5 s", what)
	}
}
