// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The story: a request is admitted for one resource, and something in the site then
// makes it look like one for another. Its backend is for who was admitted to it.
func TestNoProxyGetsWhatWasAdmittedForAnother(t *testing.T) {
	for name, site := range map[string]string{
		"the proxy lets it fall through": "mcp_gateway /mcp OUTER {\n@ok status 200\nhandle_response @ok {\nvars x y\n}\n}\n" +
			"rewrite /mcp /mcp/inner\nmcp_gateway /mcp/inner INNER",
		"a rewrite":    "mcp_oauth /mcp\nrewrite /mcp /mcp/inner\nmcp_gateway /mcp/inner INNER",
		"the variable": "mcp_oauth /mcp\nvars mcp_oauth_resource /mcp/inner\nmcp_gateway /mcp/inner INNER",
		"another issuer": "mcp_oauth /mcp\nrequest_header Host other.example\n" +
			"mcp_gateway /mcp INNER {\nissuer https://other.example\n}",
		"another issuer, rewritten": "mcp_oauth /mcp\nrequest_header Host other.example\nrewrite /mcp /else\n" +
			"mcp_gateway /mcp INNER {\nissuer https://other.example\n}",
	} {
		t.Run(name, func(t *testing.T) {
			s, outer, inner := newSite(t), newBackend(t, nil), newBackend(t, nil)
			s.load(s.config("issuer "+s.url, "route {\n"+strings.NewReplacer("OUTER", outer.addr(), "INNER", inner.addr()).Replace(site)+"\n}"))
			s.request(http.MethodPost, "/mcp", s.signIn(s.url+"/mcp"))
			if n := inner.hits.Load(); n != 0 {
				t.Errorf("the other backend got %d requests, with %v", n, inner.last.Load().Header)
			}
		})
	}
}

// A site may have its resources in any order and nesting.
func TestEveryResourceHasItsProxy(t *testing.T) {
	const outer, inner = "mcp_gateway /mcp OUTER {\nalso /sse\n}\n", "mcp_gateway /mcp/inner INNER/path\n"
	for name, site := range map[string]string{
		"outer first": outer + inner,
		"inner first": "route {\n" + inner + outer + "}",
		"handle":      "handle /mcp/inner* {\n" + inner + "}\nhandle {\n" + outer + "}",
		"subroutes":   "route {\nroute {\n" + outer + "}\nroute {\nroute {\n" + inner + "}\n}\n}",
		"error route": outer + inner + "handle_errors {\nrespond oops\n}",
	} {
		t.Run(name, func(t *testing.T) {
			s, o, i := newSite(t), newBackend(t, nil), newBackend(t, nil)
			site := strings.NewReplacer("OUTER", o.addr(), "INNER", i.addr()).Replace(site)
			s.load(s.config("issuer "+s.url, site+"\nrespond elsewhere"))
			toOuter, toInner := s.signIn(s.url+"/mcp"), s.signIn(s.url+"/mcp/inner")
			for _, tt := range []struct {
				path, token string
				status      int
				backend     *backend
				seen        string
			}{
				{"/mcp", toOuter, 200, o, "/mcp"},
				{"/sse/x", toOuter, 200, o, "/sse/x"},
				{"/mcp/other", toOuter, 200, o, "/mcp/other"},
				{"/mcp/inner/x", toInner, 200, i, "/path/x"},
				{"/mcp/inner", toOuter, 401, nil, ""},
				{"/mcp", toInner, 401, nil, ""},
				{"/sse", toInner, 401, nil, ""},
				{"/elsewhere", toOuter, 200, nil, ""},
			} {
				o.last.Store(nil)
				i.last.Store(nil)
				s.wantStatus(tt.status, http.MethodPost, tt.path, tt.token)
				for _, b := range []*backend{o, i} {
					r := b.last.Load()
					switch {
					case (r != nil) != (b == tt.backend):
						t.Errorf("%s: the backend of outer: %v was asked: %v", tt.path, b == o, r != nil)
					case r != nil && (r.URL.Path != tt.seen || r.Header.Get("X-Forwarded-User") != "local:alice"):
						t.Errorf("%s: the backend was asked for %s by %s", tt.path, r.URL.Path, r.Header.Get("X-Forwarded-User"))
					}
				}
			}
		})
	}
}

// Configurations that were written as JSON before a handler had a proxy inside: the
// guard sets the headers, whatever the transport of the proxy behind it.
func TestGuardWithAProxyBehindIt(t *testing.T) {
	for name, transport := range map[string]string{
		"default": "", "http": `"transport":{"protocol":"http"},`, "ours": `"transport":{"protocol":"mcp_oauth","upstream_host":true},`,
	} {
		for block, want := range map[string]string{"": "local:alice", `"headers":{"request":{"set":{"x-forwarded-user":["somebody"]}}},`: "somebody"} {
			t.Run(name+" "+block, func(t *testing.T) {
				s, b := newSite(t), newBackend(t, nil)
				config := string(s.config("", "mcp_gateway /mcp localhost:1"))
				start := strings.Index(config, `,"proxy":{`)
				end := start + strings.Index(config[start:], "]}") + len("]}")
				s.load([]byte(config[:start] + config[end:end+1] + fmt.Sprintf(
					`,{"handler":"subroute","routes":[{"match":[{"vars":{"mcp_oauth_resource":["/mcp"]}}],
					"handle":[{"handler":"reverse_proxy",%s%s"upstreams":[{"dial":"%s"}]}]}]}`, block, transport, b.addr()) + config[end+1:]))
				s.wantStatus(http.StatusUnauthorized, http.MethodPost, "/mcp", "")
				s.wantStatus(http.StatusOK, http.MethodPost, "/mcp", s.signIn(s.url+"/mcp"))
				r := b.last.Load()
				if got := r.Header.Values("X-Forwarded-User"); len(got) != 1 || got[0] != want || r.Header.Get("X-Mcp-Jwt-Assertion") == "" {
					t.Errorf("the backend is told %q, want %q", got, want)
				}
				s.wantStatus(http.StatusOK, http.MethodPost, "/open", "")
				if b.hits.Load() != 1 {
					t.Error("the backend was asked without the guard")
				}
			})
		}
	}
}

// The JSON of the reference is what it says it is: the six lines of the README.
func TestPublishedJSON(t *testing.T) {
	content, err := os.ReadFile("../docs/reference.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(content), "```json\n")
	published, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("there is none")
	}
	if err := validate(t, []byte(fakeSecrets(t, published))); err != nil {
		t.Error(err)
	}
	got, want := guardIn(t, []byte(published)), guardIn(t, mustAdapt(t, fences(t, "../README.md")[0]))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-README +reference\n%s", diff)
	}
}

// guardIn finds the first handler of ours in a configuration.
func guardIn(t *testing.T, config []byte) map[string]any {
	t.Helper()
	var all any
	if err := json.Unmarshal(config, &all); err != nil {
		t.Fatal(err)
	}
	var find func(any) map[string]any
	find = func(v any) map[string]any {
		switch v := v.(type) {
		case map[string]any:
			if v["handler"] == "mcp_oauth" {
				return v
			}
			for _, inner := range v {
				if found := find(inner); found != nil {
					return found
				}
			}
		case []any:
			for _, inner := range v {
				if found := find(inner); found != nil {
					return found
				}
			}
		}
		return nil
	}
	return find(all)
}

// The story: the operator has the whole route tried once more when it fails. By then
// the guard is done with the request. It would not see that a revocation ends the
// stream, nor whose the session is: the backend must not be asked past it.
func TestAnErrorRouteIsNoWayAroundTheGuard(t *testing.T) {
	s, b := newSite(t), newBackend(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	s.load(s.adapt(withUpstream("issuer "+s.url, "&(mcp) {\nmcp_gateway /mcp "+b.addr()+"\n}\n"+
		s.url+" {\ninvoke mcp\nhandle_errors {\ninvoke mcp\n}\n}\n")))
	token := s.signIn(s.url + "/mcp")
	s.wantStatus(http.StatusBadGateway, http.MethodPost, "/mcp?access_token="+token, token)
	if n := b.hits.Load(); n != 1 {
		t.Errorf("the backend was asked %d times, at last for %s", n, b.last.Load().RequestURI)
	}
}
