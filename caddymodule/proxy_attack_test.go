// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// The story: the operator names the header that his backend must not get in the
// environment.
func TestOperationsOnHeadersWhoseNamesAreNotWrittenOut(t *testing.T) {
	t.Setenv("UNWANTED", "X-Mcp-Jwt-Assertion")
	t.Setenv("WANTED", "X-Forwarded-User")
	for block, want := range map[string]map[string]string{
		"header_up -{env.UNWANTED}":          {"X-Mcp-Jwt-Assertion": "", "X-Forwarded-User": "local:alice"},
		"header_up {env.WANTED} somebody":    {"X-Forwarded-User": "somebody"},
		"header_up +{env.WANTED} somebody":   {"X-Forwarded-User": "local:alice, somebody"},
		"header_up {env.WANTED} alice bob":   {"X-Forwarded-User": "local:bob"},
		"header_up {env.WANTED} ^local: our": {"X-Forwarded-User": "ouralice"},
	} {
		t.Run(block, func(t *testing.T) {
			s, b := newSite(t), newBackend(t, nil)
			s.load(s.config("", "mcp_gateway /mcp "+b.addr()+" {\n"+block+"\n}"))
			s.wantStatus(http.StatusOK, http.MethodPost, "/mcp", s.signIn(s.url+"/mcp"))
			for name, value := range want {
				if got := strings.Join(b.last.Load().Header.Values(name), ", "); got != value {
					t.Errorf("%s is %q, want %q", name, got, value)
				}
			}
		})
	}
}

// Any handler may be inside of the guard. Its options are its own: not what those of
// reverse_proxy are, although they have the same names.
func TestTheProxyNeedNotBeOne(t *testing.T) {
	s := newSite(t)
	config := string(s.config("", "mcp_gateway /mcp localhost:1"))
	start := strings.Index(config, `"proxy":{`)
	end := start + strings.Index(config[start:], "]}") + len("]}")
	s.load([]byte(config[:start] +
		`"proxy":{"handler":"static_response","headers":{"Request":["{http.request.header.X-Forwarded-User}"]}}` + config[end:]))
	s.wantStatus(http.StatusUnauthorized, http.MethodPost, "/mcp", "")
	resp := s.wantStatus(http.StatusOK, http.MethodPost, "/mcp", s.signIn(s.url+"/mcp"))
	if got := resp.header.Get("Request"); got != "local:alice" {
		t.Errorf("the handler was told %q", got)
	}
}

// The story: the MCP server is down, or says that it cannot. The operator shows a page
// of somebody else instead, as the manual of Caddy suggests: they learn neither who
// called nor the token. A spare backend is told, if the operator says that it is one.
func TestWhoTakesOverIsToldIfTheOperatorSaysSo(t *testing.T) {
	overloaded := newBackend(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	dead := newBackend(t, nil)
	dead.Close()
	for name, site := range map[string]string{
		"handle_response": "mcp_gateway /mcp " + overloaded.addr() + " {\n@busy status 503\nhandle_response @busy {\nreverse_proxy SPARE\n}\n}",
		"handle_errors":   "mcp_gateway /mcp " + dead.addr() + "\nhandle_errors {\nreverse_proxy SPARE\n}",
	} {
		for block, told := range map[string]string{"": "", "{\ntransport mcp_oauth\n}": "local:alice"} {
			if name == "handle_errors" {
				told = "" // the guard is done with the request
			}
			t.Run(name+block, func(t *testing.T) {
				s, spare := newSite(t), newBackend(t, nil)
				s.load(s.config("", strings.ReplaceAll(site, "SPARE", spare.addr()+" "+block)))
				s.request(http.MethodPost, "/mcp", s.signIn(s.url+"/mcp"))
				r := spare.last.Load()
				if r == nil {
					t.Fatal("nobody took over; the test proves nothing")
				}
				if got := r.Header.Get("X-Forwarded-User"); got != told {
					t.Errorf("who takes over is told %q, want %q", got, told)
				}
				if got := r.Header.Get("X-Mcp-Jwt-Assertion"); (got != "") != (told != "") {
					t.Errorf("who takes over has the assertion %q", got)
				}
				if got := r.Header.Get("Authorization"); got != "" {
					t.Errorf("who takes over has the token %q", got)
				}
			})
		}
	}
}

// A client says who it is in every place that a request has.
func TestNoPlaceOfARequestMakesUpIdentity(t *testing.T) {
	var trailer atomic.Pointer[http.Header]
	s, b := newSite(t), newBackend(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		trailer.Store(&r.Trailer)
	})
	site := s.url + " {\nmcp_gateway /mcp " + b.addr() + "\n}\n"
	s.load(s.adapt(strings.Replace(withUpstream("", site), "{", "{\nservers {\nprotocols h1 h2c\n}", 1)))
	token := s.signIn(s.url + "/mcp")
	for _, version := range []string{"1.1", "2"} {
		for name, edit := range map[string]func(*http.Request){
			"header":     func(r *http.Request) { r.Header.Set("X-Forwarded-User", "github:1") },
			"folded":     func(r *http.Request) { r.Header["x_forwarded_user"] = []string{"github:1"} },
			"absent one": func(r *http.Request) { r.Header.Set("X-Forwarded-Email", "github:1@example.com") },
			"trailer": func(r *http.Request) {
				r.Trailer = http.Header{"X-Forwarded-User": {"github:1"}, "X_forwarded_groups": {"github:1"}, "X-Mcp-Scope": {"github:1"}}
			},
			"Connection": func(r *http.Request) { r.Header["Connection"] = []string{"X-Forwarded-User, x-mcp-jwt-assertion"} },
			"Expect":     func(r *http.Request) { r.Header.Set("Expect", "100-continue"); r.Header.Set("X-Mcp-Scope", "github:1") },
			"Upgrade": func(r *http.Request) {
				r.Header["Connection"], r.Header["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
				r.Header.Set("X-Mcp-Client-Id", "github:1")
			},
		} {
			if version == "2" && (name == "Connection" || name == "Upgrade") {
				continue // there are none
			}
			t.Run(version+" "+name, func(t *testing.T) {
				b.last.Store(nil)
				trailer.Store(&http.Header{})
				s.send(version, token, edit)
				r := b.last.Load()
				if r == nil {
					t.Fatal("the backend was not asked; the test proves nothing")
				}
				for _, h := range []http.Header{r.Header, *trailer.Load()} {
					for name, values := range h {
						if strings.Contains(strings.Join(values, " "), "github:1") {
							t.Errorf("the backend is told %s: %q", name, values)
						}
					}
				}
				if got := r.Header.Values("X-Forwarded-User"); len(got) != 1 || got[0] != "local:alice" || r.Header.Get("X-Mcp-Jwt-Assertion") == "" {
					t.Errorf("the backend is told %q, %v", got, r.Header)
				}
			})
		}
	}
}

// send posts a stream to the resource by a version of HTTP.
func (s *gateSite) send(version, token string, edit func(*http.Request)) {
	s.t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	defer transport.CloseIdleConnections()
	transport.Protocols.SetHTTP1(version == "1.1")
	transport.Protocols.SetUnencryptedHTTP2(version == "2")
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+"/mcp", io.NopCloser(strings.NewReader("{}")))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	edit(r)
	resp, err := transport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		s.t.Errorf("%s, %v", resp.Status, err)
	}
}

// The backend answers, or hangs up, before it has read what is sent to it, and other
// attempts follow: all of it at once. The race detector looks for who still reads a
// header when it is written.
func TestEarlyAnswersAndRetriesAtOnce(t *testing.T) {
	for name, block := range map[string]string{
		"every method": "lb_retry_match method POST GET", "by default": "", "a header set": "header_up X-Set x", "no identity": "identity_headers off",
	} {
		t.Run(name, func(t *testing.T) { earlyAnswers(t, block, name != "no identity") })
	}
}

func earlyAnswers(t *testing.T, block string, identity bool) {
	t.Helper()
	hangsUp := newBackend(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	var wrong atomic.Pointer[http.Header]
	early := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		if identity && (r.Header.Get("X-Forwarded-User") != "local:alice" || r.Header.Get("X-Mcp-Jwt-Assertion") == "") {
			wrong.Store(&r.Header)
		}
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	})
	s := newSite(t)
	s.load(s.config("", "mcp_gateway /mcp "+hangsUp.addr()+" "+early.addr()+
		" {\nlb_policy round_robin\nlb_retries 5\n"+block+"\n}\nhandle_errors {\nrespond {err.status_code}\n}"))
	token := s.signIn(s.url + "/mcp")
	var all sync.WaitGroup
	for n := range 60 {
		all.Go(func() {
			method, size := http.MethodGet, 0
			if n%2 == 0 {
				method, size = http.MethodPost, 1<<uint(n%4*7)
			}
			_, _ = s.try(method, "/mcp", token, func(r *http.Request) {
				if size > 0 {
					r.Body = io.NopCloser(strings.NewReader(strings.Repeat("x", size)))
				}
			})
		})
	}
	all.Wait()
	if early.hits.Load() == 0 || hangsUp.hits.Load() == 0 {
		t.Error("one of the backends was not asked; the test proves nothing")
	}
	if h := wrong.Load(); h != nil {
		t.Errorf("the backend was told %v", *h)
	}
}

// The story: the operator has his Caddyfile adapted, and goes on in JSON. There he
// names the Host that the backend wants.
func TestHostOfTheOperatorInJSON(t *testing.T) {
	for op, want := range map[string]string{
		`"set":{"Host":["a.example"]}`:                                      "a.example",
		`"set":{"host":["a.example"]}`:                                      "a.example",
		`"add":{"Host":["a.example"]}`:                                      "a.example",
		`"replace":{"Host":[{"search":"localhost","replace":"a.example"}]}`: "a.example:PORT",
		`"set":{"X-Other":["a.example"]}`:                                   "BACKEND",
	} {
		t.Run(op, func(t *testing.T) {
			s, b := newSite(t), newBackend(t, nil)
			config := string(s.config("", "mcp_gateway /mcp "+b.addr()))
			s.load([]byte(strings.Replace(config, `"handler":"reverse_proxy",`, `"handler":"reverse_proxy","headers":{"request":{`+op+`}},`, 1)))
			s.wantStatus(http.StatusOK, http.MethodPost, "/mcp", s.signIn(s.url+"/mcp"))
			want := strings.NewReplacer("PORT", fmt.Sprint(s.port), "BACKEND", b.addr()).Replace(want)
			if r := b.last.Load(); r.Host != want || r.Header.Get("X-Forwarded-User") != "local:alice" {
				t.Errorf("the backend was addressed as %s by %q, want %s", r.Host, r.Header.Get("X-Forwarded-User"), want)
			}
		})
	}
}
