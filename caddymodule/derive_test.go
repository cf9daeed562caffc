// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/go-cmp/cmp"
)

// withUpstream puts the smallest global block in front of sites.
func withUpstream(options, sites string) string {
	return "{\n\tmcp_oauth {\n\t\tlocal {\n\t\t\tuser alice {env.ALICE_HASH}\n\t\t}\n\t\tallow any\n" + options + "\n\t}\n}\n" + sites
}

// provision loads a configuration as far as Start and returns its app.
func provision(t *testing.T, config []byte) (*App, error) {
	t.Helper()
	var cfg caddy.Config
	if err := json.Unmarshal(isolate(t, config), &cfg); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(&cfg)
	if err != nil {
		return nil, err
	}
	app, err := ctx.App(appName)
	if err != nil {
		t.Fatal(err)
	}
	return app.(*App), nil
}

// hostsOf lists which host selects which issuer, for every site.
func hostsOf(app *App) []string {
	var all []string
	for _, s := range app.sites {
		for _, host := range slices.Sorted(maps.Keys(s.handler.issuers)) {
			all = append(all, host+" "+s.handler.issuers[host])
		}
	}
	slices.Sort(all)
	return all
}

const gatewayLine = "{\n\tmcp_gateway localhost:3000\n}\n"

// TestDerivedIssuer provisions real configurations: the issuer is what clients
// compare with the address they use, so a wrong guess breaks every one of them.
func TestDerivedIssuer(t *testing.T) {
	for _, tt := range []struct {
		name, options, sites string
		want                 []string
	}{
		{name: "one host", sites: "mcp.example.com " + gatewayLine, want: []string{"mcp.example.com https://mcp.example.com"}},
		{name: "two hosts are two issuers", sites: "a.example.com, b.example.com " + gatewayLine, want: []string{
			"a.example.com https://a.example.com", "b.example.com https://b.example.com",
		}},
		{name: "host is lower case", sites: "MCP.Example.COM " + gatewayLine, want: []string{"mcp.example.com https://mcp.example.com"}},
		{name: "other scripts", sites: "bücher.example " + gatewayLine, want: []string{"xn--bcher-kva.example https://xn--bcher-kva.example"}},
		{name: "own port", sites: "mcp.example.com:8443 " + gatewayLine, want: []string{"mcp.example.com https://mcp.example.com:8443"}},
		{name: "explicit default port", sites: "https://mcp.example.com:443 " + gatewayLine, want: []string{"mcp.example.com https://mcp.example.com"}},
		{name: "loopback http", sites: "http://localhost:8080 " + gatewayLine, want: []string{"localhost http://localhost:8080"}},
		{name: "loopback http on the default port", sites: "http://localhost " + gatewayLine, want: []string{"localhost http://localhost"}},
		{name: "loopback https", sites: "localhost:8080 " + gatewayLine, want: []string{"localhost https://localhost:8080"}},
		{name: "loopback https on the default port", sites: "localhost " + gatewayLine, want: []string{"localhost https://localhost"}},
		{name: "loopback address", sites: "http://127.0.0.1:8080 " + gatewayLine, want: []string{"127.0.0.1 http://127.0.0.1:8080"}},
		{name: "loopback IPv6", sites: "http://[::1]:8080 " + gatewayLine, want: []string{"::1 http://[::1]:8080"}},
		{
			name: "two ports are two servers", sites: "http://localhost:8080, http://localhost:8081 " + gatewayLine,
			want: []string{"localhost http://localhost:8080", "localhost http://localhost:8081"},
		},
		{
			name: "two servers of one issuer", options: "\t\tissuer https://mcp.example.com",
			sites: "a.example.com " + gatewayLine + "b.example.com:8443 {\n\tmcp_gateway localhost:3000 {\n\t\tlb_policy first\n\t}\n}\n",
			want: []string{
				"a.example.com https://mcp.example.com", "b.example.com https://mcp.example.com",
				"mcp.example.com https://mcp.example.com", "mcp.example.com https://mcp.example.com",
			},
		},
		{
			name: "inside of handle and route", sites: "mcp.example.com {\n\thandle {\n\t\troute {\n\t\t\tmcp_gateway localhost:3000\n\t\t}\n\t}\n}\n",
			want: []string{"mcp.example.com https://mcp.example.com"},
		},
		{
			name:  "innermost host of a wildcard site",
			sites: "*.example.com {\n\t@a host a.example.com\n\thandle @a {\n\t\tmcp_gateway localhost:3000\n\t}\n\t@b host b.example.com\n\thandle @b {\n\t\tmcp_gateway localhost:3001\n\t}\n}\n",
			want:  []string{"a.example.com https://a.example.com", "b.example.com https://b.example.com"},
		},
		{
			name:  "second of several sites",
			sites: "one.example.com {\n\trespond hi\n}\ntwo.example.com {\n\trespond /x hi\n\tmcp_gateway localhost:3000\n\tmcp_gateway /other localhost:3001\n}\nthree.example.com {\n\trespond hi\n}\n",
			want:  []string{"two.example.com https://two.example.com", "two.example.com https://two.example.com"},
		},
		{
			name: "explicit beats derived", sites: "internal.example.com {\n\tmcp_gateway localhost:3000 {\n\t\tissuer https://mcp.example.com\n\t}\n}\n",
			want: []string{"internal.example.com https://mcp.example.com", "mcp.example.com https://mcp.example.com"},
		},
		{
			name: "global beats derived", options: "\t\tissuer https://mcp.example.com", sites: "http://internal.example.com:8080 " + gatewayLine,
			want: []string{"internal.example.com https://mcp.example.com", "mcp.example.com https://mcp.example.com"},
		},
		{
			name: "explicit beats global", options: "\t\tissuer https://mcp.example.com", sites: ":8080 {\n\tmcp_gateway localhost:3000 {\n\t\tissuer https://own.example.com\n\t}\n}\n",
			want: []string{"own.example.com https://own.example.com"},
		},
		{
			name: "issuer from the environment", options: "\t\tissuer {env.PUBLIC_URL}", sites: ":8080 " + gatewayLine,
			want: []string{"mcp.example.com https://mcp.example.com:8443"},
		},
		{
			name: "explicit on a wildcard site", sites: "*.example.com {\n\tmcp_gateway localhost:3000 {\n\t\tissuer https://a.example.com\n\t}\n}\n",
			want: []string{"a.example.com https://a.example.com"},
		},
		{
			name: "explicit on two ports is one resource", options: "\t\tissuer https://mcp.example.com", sites: "http://:8080, http://:8081 " + gatewayLine,
			want: []string{"mcp.example.com https://mcp.example.com", "mcp.example.com https://mcp.example.com"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config := fakeSecrets(t, withUpstream(tt.options, tt.sites))
			t.Setenv("PUBLIC_URL", "https://MCP.example.com:8443")
			app, err := provision(t, mustAdapt(t, config))
			if err != nil {
				t.Fatalf("provision: %v", err)
			}
			if diff := cmp.Diff(tt.want, hostsOf(app)); diff != "" {
				t.Errorf("hosts and issuers (-want +got):\n%s", diff)
			}
			if err := verifyAll(app.sites); err != nil {
				t.Errorf("the finished routes disagree: %v", err)
			}
		})
	}
}

// TestIssuerRefused: nothing is guessed, and the error says what to write.
func TestIssuerRefused(t *testing.T) {
	for _, tt := range []struct {
		name, options, sites string
		want                 []string
	}{
		{name: "no host", sites: ":8080 " + gatewayLine, want: []string{"the site has no host name", addIssuer, "site without host name, mcp_gateway /mcp"}},
		{name: "wildcard", sites: "*.example.com " + gatewayLine, want: []string{`"*.example.com", which is no single host name`, addIssuer}},
		{name: "placeholder", sites: "http://{env.SITE} " + gatewayLine, want: []string{"which is no single host name", addIssuer}},
		{name: "one of two is a wildcard", sites: "a.example.com, *.example.com " + gatewayLine, want: []string{`"*.example.com", which is no single`}},
		{name: "http in the open", sites: "http://mcp.example.com " + gatewayLine, want: []string{"neither https nor a loopback host", `add "issuer https://mcp.example.com"`, "site mcp.example.com, mcp_gateway /mcp"}},
		{
			name: "path matcher", sites: "mcp.example.com {\n\thandle /api/* {\n\t\tmcp_gateway localhost:3000\n\t}\n}\n",
			want: []string{`the path matcher "/api/*" above it would hide the discovery documents`, "move the directive"},
		},
		{
			name: "handle_path", sites: "mcp.example.com {\n\thandle_path /api/* {\n\t\tmcp_gateway localhost:3000\n\t}\n}\n",
			want: []string{"move the directive"},
		},
		{
			name: "path in an expression", sites: "mcp.example.com {\n\t@x `path('/api/*')`\n\thandle @x {\n\t\tmcp_gateway localhost:3000\n\t}\n}\n",
			want: []string{"move the directive"},
		},
		{
			name: "path regexp", sites: "mcp.example.com {\n\t@x path_regexp ^/api\n\thandle @x {\n\t\tmcp_gateway localhost:3000\n\t}\n}\n",
			want: []string{"move the directive"},
		},
		{
			name: "named route", sites: "&(r) {\n\tmcp_gateway localhost:3000\n}\nmcp.example.com {\n\tinvoke r\n}\n",
			want: []string{"named route", addIssuer},
		},
		{
			name: "error route", sites: "mcp.example.com {\n\thandle_errors {\n\t\tmcp_gateway localhost:3000\n\t}\n}\n",
			want: []string{"error route", addIssuer},
		},
		{
			name: "inside of another handler", sites: "mcp.example.com {\n\treverse_proxy localhost:1 {\n\t\t@x status 418\n\t\thandle_response @x {\n\t\t\tmcp_gateway localhost:3000\n\t\t}\n\t}\n}\n",
			want: []string{"it is inside of http.handlers.reverse_proxy", addIssuer},
		},
		{name: "unix socket", sites: "http://mcp.example.com {\n\tbind unix//tmp/x.sock\n\tmcp_gateway localhost:3000\n}\n", want: []string{"has no port", addIssuer}},
		{
			name: "same path twice", sites: "mcp.example.com {\n\tmcp_gateway localhost:3000\n\tmcp_gateway /MCP localhost:3001\n}\n",
			want: []string{"the path /MCP is protected twice under https://mcp.example.com"},
		},
		{
			name: "also of one is path of another", sites: "mcp.example.com {\n\tmcp_gateway localhost:3000 {\n\t\talso /sse\n\t}\n\tmcp_gateway /sse localhost:3001\n}\n",
			want: []string{"the path /sse is protected twice"},
		},
		{
			name: "two sites under the global issuer", options: "\t\tissuer https://mcp.example.com", sites: "a.example.com " + gatewayLine + "b.example.com " + gatewayLine,
			want: []string{"the path /mcp is protected twice under https://mcp.example.com", "site b.example.com"},
		},
		{
			name: "two servers that tell the backend in two ways", options: "\t\tissuer https://mcp.example.com",
			sites: "a.example.com " + gatewayLine + "b.example.com:8443 {\n\tmcp_gateway localhost:3000 {\n\t\theader_up -X-Mcp-Scope\n\t}\n}\n",
			want:  []string{"the path /mcp is protected by two servers under https://mcp.example.com", "give both the same options"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := provision(t, mustAdapt(t, fakeSecrets(t, withUpstream(tt.options, tt.sites))))
			if err == nil {
				t.Fatal("provisioned without an error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not contain\n  %s\nbut is\n  %v", want, err)
				}
			}
		})
	}
}

// TestSeveralPorts needs JSON: the Caddyfile makes a server for every port.
func TestSeveralPorts(t *testing.T) {
	config := mustAdapt(t, fakeSecrets(t, withUpstream("", "mcp.example.com "+gatewayLine)))
	for listen, want := range map[string]string{
		`[":443",":8443"]`:                   "listens on several ports (:443 :8443)",
		`[":8443-8445"]`:                     "listens on several ports",
		`["127.0.0.1:8443","[::1]:8443"]`:    "",
		`[":8443"]`:                          "",
		`["127.0.0.1:443","192.0.2.1:8443"]`: "several ports",
	} {
		changed := strings.Replace(string(config), `[":443"]`, listen, 1)
		_, err := provision(t, []byte(changed))
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", listen, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: want %q, got %v", listen, want, err)
		}
	}
}

// TestVerifyNoticesWrongPlace: should a later Caddy load routes in another order,
// locate could find the wrong site. Nothing may be served then.
func TestVerifyNoticesWrongPlace(t *testing.T) {
	app, err := provision(t, mustAdapt(t, fakeSecrets(t, withUpstream("", "mcp.example.com "+gatewayLine))))
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*placement){
		"other host": func(p *placement) { p.hosts = []string{"evil.example.com"} },
		"no host":    func(p *placement) { p.hosts = nil },
		"other path": func(p *placement) { p.path = "/api/*" },
	} {
		s := *app.sites[0]
		spoil(&s.where)
		if err := verifyAll([]*site{&s}); err == nil {
			t.Errorf("%s: not noticed", name)
		}
	}
	s := *app.sites[0]
	s.handler = new(Handler)
	if err := verifyAll([]*site{&s}); err == nil {
		t.Error("a handler that is in no route was not noticed")
	}
}

// TestOrderOfResources: the first resource written is the issuer's default.
func TestOrderOfResources(t *testing.T) {
	sites := "mcp.example.com {\n\tmcp_gateway /b localhost:3000\n\tmcp_gateway /a localhost:3001\n\tmcp_gateway /c/long/path localhost:3002\n}\n"
	app, err := provision(t, mustAdapt(t, fakeSecrets(t, withUpstream("", sites))))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range resourcesOf(app.sites, "https://mcp.example.com") {
		got = append(got, r.Path)
	}
	if diff := cmp.Diff([]string{"/b", "/a", "/c/long/path"}, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}
