// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
)

// brokenOff has the backend break off a stream, and returns what was logged, and the
// request as the backend got it.
func brokenOff(t *testing.T, options, block string) (log string, sent http.Header) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "caddy.log")
	b := newBackend(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	s := newSite(t)
	site := s.url + " {\nmcp_gateway /mcp " + b.addr() + " {\n" + block + "\n}\n}\n"
	s.load(s.adapt("{\n" + options + "\nlog {\noutput file " + file + "\n}\n" + strings.TrimPrefix(withUpstream("", site), "{\n")))
	resp, err := s.try(http.MethodPost, "/mcp", s.signIn(s.url+"/mcp"), func(r *http.Request) { r.Header.Set("X-Api-Key", "api-key-of-alice") })
	t.Logf("the client sees %v, %v", resp, err)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(content), "aborting with incomplete response") {
		t.Fatal("the proxy logged nothing of it; the test proves nothing")
	}
	return string(content), b.last.Load().Header
}

// The story: somebody reads the operator's logs, where a backend that hangs up, or
// debug logging, has left the headers of requests. Nobody's assertion is there to be
// used, and no address.
func TestLogsOfTheProxyHaveNoIdentity(t *testing.T) {
	log, sent := brokenOff(t, "debug", "")
	assertion := sent.Get("X-Mcp-Jwt-Assertion")
	if assertion == "" || !strings.Contains(log, "upstream roundtrip") {
		t.Fatal("there was no assertion, or nothing was logged of the way there; the test proves nothing")
	}
	if strings.Contains(log, assertion) {
		t.Error("the assertion is in the log")
	}
	for _, name := range gateway.IdentityHeaders() {
		if strings.Contains(log, `"`+name+`"`) {
			t.Errorf("%s is in the log", name)
		}
	}
}

// The story: a client sends the key of its user along, for the backend. A stream breaks
// off, and the key is in a log that many read.
func TestLogsOfTheProxyHaveNoHeaders(t *testing.T) {
	for name, block := range map[string]string{"nothing set": "", "a header set": "header_up X-Set x", "no identity": "identity_headers off"} {
		t.Run(name, func(t *testing.T) {
			log, sent := brokenOff(t, "", block)
			if sent.Get("X-Api-Key") != "api-key-of-alice" {
				t.Error("the backend did not get the header")
			}
			if strings.Contains(log, "api-key-of-alice") {
				t.Errorf("the key is in the log: %s", log)
			}
		})
	}
	t.Run("debug", func(t *testing.T) {
		if log, _ := brokenOff(t, "debug", ""); !strings.Contains(log, "api-key-of-alice") {
			t.Errorf("who looks for a mistake sees no headers: %s", log)
		}
	})
}

// What the proxy still looks up in a request that was sent is there.
func TestProxySeesTheHeadersItNeeds(t *testing.T) {
	t.Run("to switch protocols", func(t *testing.T) {
		b := newBackend(t, switchProtocols)
		s := newSite(t)
		// An operator may ask for it, but it cannot be had here, and the client is told.
		s.load(s.config("", "mcp_gateway /mcp "+b.addr()+" {\nheader_up Connection Upgrade\nheader_up Upgrade echo\n}"))
		s.wantStatus(http.StatusBadGateway, http.MethodGet, "/mcp", s.signIn(s.url+"/mcp"))
	})
	t.Run("to try again", func(t *testing.T) {
		busy := newBackend(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) })
		idle := newBackend(t, nil)
		s := newSite(t)
		s.load(s.config("", "mcp_gateway /mcp "+busy.addr()+" "+idle.addr()+" {\nlb_policy round_robin\nlb_retries 2\n"+
			"lb_retry_match {\nheader X-Api-Key key\nexpression `{http.reverse_proxy.status_code} == 429`\n}\n}"))
		token := s.signIn(s.url + "/mcp")
		withKey := func(r *http.Request) { r.Header.Set("X-Api-Key", "key") }
		for range 2 { // each backend is the first once
			s.wantStatus(http.StatusOK, http.MethodPost, "/mcp", token, withKey)
		}
		refused := s.request(http.MethodPost, "/mcp", token).status + s.request(http.MethodPost, "/mcp", token).status
		if refused != http.StatusOK+http.StatusTooManyRequests {
			t.Error("the busy backend was not asked; the test proves nothing")
		}
	})
}

// switchProtocols answers 101 and is gone.
func switchProtocols(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
	_ = rw.Flush()
}
