// SPDX-License-Identifier: Apache-2.0

package fetch_test

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/fetch"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testsite"
)

func TestGet(t *testing.T) {
	t.Parallel()
	var got *http.Request
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		jsonHandler(`{"a":1}`, "Cache-Control", "max-age=60")(w, r)
	})
	resp, err := s.client(loopback()).Get(t.Context(), s.url("/client.json"), 100)
	if err != nil || string(resp.Body) != `{"a":1}` || resp.Header.Get("Cache-Control") != "max-age=60" {
		t.Fatalf("%v %v", resp, err)
	}
	// The request says nothing about us, or whoever caused it.
	if got.URL.Path != "/client.json" || got.Header.Get("Accept") != "application/json" || len(got.Header) != 3 ||
		got.Header.Get("User-Agent") != "caddy-mcp-oauth" || got.Header.Get("Connection") != "close" {
		t.Errorf("request %v %v", got.URL, got.Header)
	}
	for _, typ := range []string{"application/json; charset=utf-8", "application/oauth-client+json", "APPLICATION/JSON"} {
		s := newSite(t, jsonHandler(`{}`, "Content-Type", typ))
		if _, err := s.client(loopback()).Get(t.Context(), s.url("/"), 100); err != nil {
			t.Errorf("%s: %v", typ, err)
		}
	}
}

// SSRF by the URL itself: another scheme, a user that some parsers take for the
// host, a port at which something else listens.
func TestUnacceptableURLs(t *testing.T) {
	t.Parallel()
	s := newSite(t, jsonHandler(`{}`))
	c := s.client(loopback())
	for _, u := range []string{
		"http://client.example:" + s.Port + "/c", "ftp://client.example/c", "file:///etc/passwd", "https:client.example/c", "https:///c",
		"//client.example/c", "/c", "", "https://good.example@client.example:" + s.Port + "/c", "https://a:b@client.example/c",
		"https://client.example:22/c", "https://client.example:25/c", "https://client.example:80/c", "https://client.example:0/c",
		"https://client.example:99999/c", "https://client.example:x/c", s.url("/c") + "#f", "https://[::1/c", "https://client.example/\x00",
		"gopher://client.example/", "jar:https://client.example!/c",
	} {
		wantFailure(t, errOf(c.Get(t.Context(), u, 100)), fetch.ReasonRefused, false)
	}
	if n := s.Conns(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

func errOf[T any](_ T, err error) error { return err }

// SSRF by the answer: what a server says where it does not serve the document.
func TestUnacceptableAnswers(t *testing.T) {
	t.Parallel()
	redirect := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/inside" {
				jsonHandler(`{}`)(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			http.Redirect(w, r, "/inside", status)
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
		}
	}
	for name, tt := range map[string]struct {
		serve     http.HandlerFunc
		reason    fetch.Reason
		temporary bool
	}{
		"moved":                {redirect(301), fetch.ReasonStatus, false},
		"found":                {redirect(302), fetch.ReasonStatus, false},
		"temporary redirect":   {redirect(307), fetch.ReasonStatus, false},
		"permanent redirect":   {redirect(308), fetch.ReasonStatus, false},
		"another success":      {status(201), fetch.ReasonStatus, false},
		"no content":           {status(204), fetch.ReasonStatus, false},
		"partial content":      {status(206), fetch.ReasonStatus, false},
		"not modified":         {status(304), fetch.ReasonStatus, false},
		"unauthorized":         {status(401), fetch.ReasonStatus, false},
		"gone":                 {status(410), fetch.ReasonStatus, false},
		"request timeout":      {status(408), fetch.ReasonStatus, true},
		"too many requests":    {status(429), fetch.ReasonStatus, true},
		"server error":         {status(500), fetch.ReasonStatus, true},
		"unavailable":          {status(503), fetch.ReasonStatus, true},
		"HTML":                 {jsonHandler(`{}`, "Content-Type", "text/html"), fetch.ReasonType, false},
		"text/json":            {jsonHandler(`{}`, "Content-Type", "text/json"), fetch.ReasonType, false},
		"JSON lines":           {jsonHandler(`{}`, "Content-Type", "application/jsonl"), fetch.ReasonType, false},
		"JSON by its end only": {jsonHandler(`{}`, "Content-Type", "image/x+json"), fetch.ReasonType, false},
		"two types": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{"application/json", "text/html"}
		}, fetch.ReasonType, false},
		"no type":         {func(w http.ResponseWriter, _ *http.Request) { w.Header()["Content-Type"] = nil }, fetch.ReasonType, false},
		"malformed type":  {jsonHandler(`{}`, "Content-Type", "application/json; =;"), fetch.ReasonType, false},
		"a byte too long": {jsonHandler(strings.Repeat("x", 101)), fetch.ReasonSize, false},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, fetch.ReasonSize, false},
		"header too long": {jsonHandler(`{}`, "X-Long", strings.Repeat("x", 100_000)), fetch.ReasonUnreachable, true},
		"hangs up":        {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, fetch.ReasonUnreachable, true},
		"ends too early": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "50")
			_, _ = w.Write([]byte("{"))
		}, fetch.ReasonUnreachable, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, tt.serve)
			wantFailure(t, errOf(s.client(loopback()).Get(t.Context(), s.url("/c"), 100)), tt.reason, tt.temporary)
			if n := s.Requests(); n != 1 {
				t.Errorf("%d requests, want one: nothing is followed", n)
			}
		})
	}
}

// What the caller allows never exceeds 64 KiB.
func TestHardLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		n := fetch.MaxBytes
		if r.URL.Path == "/more" {
			n++
		}
		jsonHandler(strings.Repeat(" ", n))(w, r)
	})
	c := s.client(loopback())
	if resp, err := c.Get(t.Context(), s.url("/all"), 1<<40); err != nil || len(resp.Body) != fetch.MaxBytes {
		t.Errorf("%v", err)
	}
	wantFailure(t, errOf(c.Get(t.Context(), s.url("/more"), 1<<40)), fetch.ReasonSize, false)
}

// A server that is slow on purpose, at each stage, holds nothing up for longer than
// the time there is for all of them together.
func TestSlowServers(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/body" {
			_, _ = w.Write([]byte("{"))
			_ = http.NewResponseController(w).Flush()
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler) // a proper end could still get through
	})
	mute, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never shakes hands
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mute.Close() })
	c := fetch.New(fetch.Options{
		RootCAs: s.Roots, Resolver: loopback().Resolver(), InsecureAllowLoopback: true, Timeout: 200 * time.Millisecond,
	})
	for name, u := range map[string]string{
		"header": s.url("/header"), "body": s.url("/body"), "handshake": "https://" + mute.Addr().String() + "/c",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFailure(t, errOf(c.Get(t.Context(), u, 100)), fetch.ReasonTimeout, true)
		})
	}
}

// Certificates count: whoever sits in between must not hand out clients.
func TestUntrustedCertificates(t *testing.T) {
	t.Parallel()
	s := newSite(t, jsonHandler(`{}`))
	strange := fetch.New(fetch.Options{RootCAs: x509.NewCertPool(), Resolver: loopback().Resolver(), InsecureAllowLoopback: true})
	wantFailure(t, errOf(strange.Get(t.Context(), s.url("/c"), 100)), fetch.ReasonUnreachable, true)
	everywhere := namesOf(map[string][][]netip.Addr{"client.other": {{netip.MustParseAddr("127.0.0.1")}}})
	wantFailure(t, errOf(s.client(everywhere).Get(t.Context(), "https://client.other:"+s.Port+"/c", 100)), fetch.ReasonUnreachable, true)
	old := httptest.NewUnstartedServer(jsonHandler(`{}`))
	old.Config.ErrorLog = testsite.Quiet
	old.TLS = s.TLS.Clone()
	old.TLS.MaxVersion = 0x0302 // TLS 1.1
	old.TLS.MinVersion = 0x0301
	old.StartTLS()
	t.Cleanup(old.Close)
	wantFailure(t, errOf(s.client(loopback()).Get(t.Context(), old.URL+"/c", 100)), fetch.ReasonUnreachable, true)
}

// A proxy of the environment would connect where the dialer refuses to.
func TestNoProxyFromTheEnvironment(t *testing.T) {
	proxied := false
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied = true }))
	defer proxy.Close()
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	s := newSite(t, jsonHandler(`{}`))
	if _, err := s.client(loopback()).Get(t.Context(), s.url("/c"), 100); err != nil || proxied {
		t.Errorf("%v, proxied %v", err, proxied)
	}
}

func TestCanceledByTheCaller(t *testing.T) {
	t.Parallel()
	s := newSite(t, jsonHandler(`{}`))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantFailure(t, errOf(s.client(loopback()).Get(ctx, s.url("/c"), 100)), fetch.ReasonUnreachable, true)
}
