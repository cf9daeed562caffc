// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
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
