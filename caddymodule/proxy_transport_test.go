// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// listen starts the backend anew, at an address and with protocols of its own.
func (b *backend) listen(t *testing.T, network, addr string, edit func(*httptest.Server)) net.Addr {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: b.Config.Handler}} //nolint:gosec // of a test
	edit(s)
	t.Cleanup(s.Close)
	return l.Addr()
}

// Whatever way leads to the backend, it is told who calls, and addressed as the proxy
// without our transport would.
func TestEveryTransportCarriesIdentity(t *testing.T) {
	plain := func(s *httptest.Server) { s.Start() }
	secure := func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() }
	clear2 := func(s *httptest.Server) {
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
	}
	const insecure = "transport http {\ntls_insecure_skip_verify\n"
	for name, tt := range map[string]struct {
		network, block, host, proto string
		start                       func(*httptest.Server)
		prefix                      string
	}{
		"unix":             {network: "unix", start: plain, host: "SITE", proto: "HTTP/1.1", prefix: "unix/"},
		"h2c":              {start: clear2, host: "BACKEND", proto: "HTTP/2.0", prefix: "h2c://"},
		"tls":              {start: secure, host: "BACKEND", proto: "HTTP/2.0", prefix: "https://", block: insecure + "}"},
		"tls, 1.1":         {start: secure, host: "BACKEND", proto: "HTTP/1.1", prefix: "https://", block: insecure + "versions 1.1\n}"},
		"tls, own host":    {start: secure, host: "a.example", proto: "HTTP/2.0", prefix: "https://", block: insecure + "}\nheader_up Host a.example"},
		"tls, public host": {start: secure, host: "SITE", proto: "HTTP/2.0", prefix: "https://", block: insecure + "}\nheader_up Host {http.request.hostport}"},
		"own host":         {start: plain, host: "a.example", proto: "HTTP/1.1", block: "header_up Host a.example"},
		"no keepalive":     {start: plain, host: "BACKEND", proto: "HTTP/1.1", block: "transport http {\nkeepalive off\n}"},
		"buffered":         {start: plain, host: "BACKEND", proto: "HTTP/1.1", block: "request_buffers 1MB\nresponse_buffers 1MB"},
		"dynamic":          {start: plain, host: "SITE", proto: "HTTP/1.1", block: "dynamic a 127.0.0.1 PORT", prefix: "dynamic"},
	} {
		t.Run(name, func(t *testing.T) {
			s, b := newSite(t), newBackend(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
			network, addr := "tcp", "127.0.0.1:0"
			if tt.network != "" {
				network, addr = tt.network, filepath.Join(s.dir, "b.sock")
			}
			at := b.listen(t, network, addr, tt.start).String()
			target := tt.prefix + at
			if tt.prefix == "dynamic" {
				target = ""
				_, port, _ := net.SplitHostPort(at)
				tt.block = strings.ReplaceAll(tt.block, "PORT", port)
			}
			s.load(s.config("", fmt.Sprintf("mcp_gateway /mcp %s {\n%s\n}", target, tt.block)))
			resp := s.wantStatus(http.StatusOK, http.MethodPost, "/mcp", s.signIn(s.url+"/mcp"), func(r *http.Request) {
				r.Body, r.ContentLength = io.NopCloser(strings.NewReader("hello")), -1
			})
			if resp.body != "hello" {
				t.Errorf("the body came back as %q", resp.body)
			}
			r := b.last.Load()
			if r == nil {
				t.Fatal("the backend was not asked")
			}
			host := strings.NewReplacer("SITE", strings.TrimPrefix(s.url, "http://"), "BACKEND", at).Replace(tt.host)
			if r.Host != host || r.Proto != tt.proto {
				t.Errorf("by %s, addressed as %s; want %s, %s", r.Proto, r.Host, tt.proto, host)
			}
			if got := r.Header.Values("X-Forwarded-User"); len(got) != 1 || got[0] != "local:alice" {
				t.Errorf("the backend is told %q", got)
			}
		})
	}
}

// The connections of a proxy inside of the guard belong to its configuration: the ones
// that a reload leaves behind are closed, and so are its health checks ended.
func TestReloadsLeaveNoConnectionsBehind(t *testing.T) {
	var open atomic.Int64
	s, b := newSite(t), newBackend(t, nil)
	closed := make(chan struct{}, 100)
	at := b.listen(t, "tcp", "127.0.0.1:0", func(s *httptest.Server) {
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed:
				open.Add(-1)
				closed <- struct{}{}
			}
		}
		s.Start()
	}).String()
	config := func(n int) []byte {
		return s.config("", fmt.Sprintf("mcp_gateway /mcp %s\nrespond /version v%d", at, n))
	}
	s.load(config(0))
	token := s.signIn(s.url + "/mcp")
	const reloads = 10
	for n := 1; n <= reloads; n++ {
		s.wantStatus(http.StatusOK, http.MethodPost, "/mcp", token)
		if err := caddy.Load(config(n), true); err != nil {
			t.Fatal(err)
		}
	}
	for range reloads {
		select {
		case <-closed:
		case <-time.After(10 * time.Second):
			t.Fatalf("%d connections are left open", open.Load())
		}
	}
}

// Health checks are no requests of anybody's, and say nothing of anybody.
func TestHealthChecksHaveNoIdentity(t *testing.T) {
	checked := make(chan http.Header, 100)
	s, b := newSite(t), newBackend(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			checked <- r.Header
		}
	})
	s.load(s.config("", "mcp_gateway /mcp "+b.addr()+" {\nhealth_uri /healthz\nhealth_interval 20ms\nhealth_headers {\nX-Probe yes\n}\n}"))
	s.wantStatus(http.StatusOK, http.MethodPost, "/mcp", s.signIn(s.url+"/mcp"))
	for len(checked) > 0 {
		<-checked
	}
	select {
	case h := <-checked:
		if h.Get("X-Probe") != "yes" || h.Get("X-Forwarded-User") != "" || h.Get("X-Mcp-Jwt-Assertion") != "" {
			t.Errorf("the check has the header %v", h)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("there are no checks")
	}
}

// The logs and figures of everything that can go wrong with a request name nobody but
// by the subject, and have no token.
func TestFailuresTellTheLogNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "caddy.log")
	dead := newBackend(t, nil)
	dead.Close()
	var seen atomic.Pointer[http.Request]
	b := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r)
		switch r.URL.Query().Get("do") {
		case "401":
			w.WriteHeader(http.StatusUnauthorized)
		case "hangup":
			panic(http.ErrAbortHandler)
		}
	})
	s := newSite(t)
	site := s.url + " {\nlog\ntracing\nmcp_gateway /mcp " + dead.addr() + " " + b.addr() + " {\nlb_policy first\nlb_retries 1\nfail_duration 1m\n}\n" +
		"mcp_gateway /dead " + dead.addr() + "\nmetrics /metrics\nhandle_errors {\nrespond {http.error.message} 502\n}\n}\n"
	t.Setenv("OTEL_TRACES_EXPORTER", "none")
	s.load(s.adapt("{\ndebug\nmetrics {\nper_host\n}\nlog {\noutput file " + file + "\n}\n" + strings.TrimPrefix(withUpstream("", site), "{\n")))
	token, toDead := s.signIn(s.url+"/mcp"), s.signIn(s.url+"/dead")
	s.wantStatus(http.StatusOK, http.MethodGet, "/mcp", token)
	assertion := seen.Load().Header.Get("X-Mcp-Jwt-Assertion")
	s.wantStatus(http.StatusBadGateway, http.MethodPost, "/dead", toDead)
	s.wantStatus(http.StatusBadGateway, http.MethodGet, "/mcp?do=401", token)
	_, _ = s.try(http.MethodGet, "/mcp?do=hangup", token)
	s.wantStatus(http.StatusBadRequest, http.MethodGet, "/mcp", token+"!")
	metrics := s.wantStatus(http.StatusOK, http.MethodGet, "/metrics", "").body
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, logged := range []string{"upstream roundtrip", "handled request", "connection refused", "EOF"} {
		if !strings.Contains(string(content), logged) {
			t.Errorf("%q was not logged; the test proves nothing", logged)
		}
	}
	for name, secret := range map[string]string{
		"the token": token, "another token": toDead, "the assertion": assertion, "a header": "X-Mcp-Jwt-Assertion", "the login": "preferred_username",
	} {
		if secret == "" {
			t.Fatalf("%s: there is none", name)
		}
		if strings.Contains(string(content), secret) {
			t.Errorf("the log has %s", name)
		}
		if strings.Contains(metrics, secret) {
			t.Errorf("the metrics have %s", name)
		}
	}
	if strings.Contains(metrics, "alice") {
		t.Error("the metrics have the user")
	}
}
