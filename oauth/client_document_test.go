// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"encoding/json"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// documents returns the documents of real clients, assembled from what their
// vendors document and what was published of them in issues, November 2026.
func documents(tb testing.TB) map[string][]byte {
	tb.Helper()
	paths, err := filepath.Glob("testdata/document/*.json")
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no documents: %v", err)
	}
	out := map[string][]byte{}
	for _, p := range paths {
		body, err := os.ReadFile(p)
		if err != nil {
			tb.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(p), ".json")] = body
	}
	return out
}

// Each real document is accepted, and the addresses that each client really uses
// are among its redirect URIs.
func TestDocumentsOfRealClients(t *testing.T) {
	t.Parallel()
	uses := map[string][]string{
		"chatgpt":     {"https://chatgpt.com/connector/oauth/kDmjx77UnKOM"},
		"claude":      {"https://claude.ai/api/mcp/auth_callback", "https://claude.com/api/mcp/auth_callback"},
		"claude-code": {"http://localhost:3118/callback", "http://127.0.0.1:53682/callback", "http://localhost/callback"},
		// It registers one port and takes another (github/copilot-cli#4793).
		"copilot-cli": {"http://127.0.0.1:33418/", "http://127.0.0.1:60001/"},
		"vscode":      {"http://127.0.0.1:33418/", "http://127.0.0.1:9/", "https://vscode.dev/redirect"},
	}
	for name, body := range documents(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sent struct {
				ID     string `json:"client_id"`
				Name   string `json:"client_name"`
				Method string `json:"token_endpoint_auth_method"`
				JWKS   string `json:"jwks_uri"`
			}
			if err := json.Unmarshal(body, &sent); err != nil {
				t.Fatal(err)
			}
			if _, perr := ClientDocumentHost(sent.ID); perr != nil || !IsClientDocumentURL(sent.ID) {
				t.Errorf("client_id: %v", perr)
			}
			d, perr := ParseClientDocument(sent.ID, body)
			if perr != nil {
				t.Fatal(perr)
			}
			if d.ClientID != sent.ID || d.ClientName != sent.Name || d.TokenEndpointAuthMethod != sent.Method || d.JWKSURI != sent.JWKS {
				t.Errorf("got %+v", d)
			}
			if !slices.Equal(d.GrantTypes, []string{GrantAuthorizationCode, GrantRefreshToken}) {
				t.Errorf("grant types %q", d.GrantTypes)
			}
			for _, uri := range uses[name] {
				if !MatchRedirectURI(d.RedirectURIs, uri) {
					t.Errorf("%s is not among %q", uri, d.RedirectURIs)
				}
			}
		})
	}
}

func TestClientDocumentHost(t *testing.T) {
	t.Parallel()
	for id, host := range map[string]string{
		"https://claude.ai/oauth/client":    "claude.ai",
		"https://CLAUDE.ai/client":          "claude.ai",
		"https://a.example:8443/c":          "a.example",
		"https://a.example/c/":              "a.example",
		"https://a.example/%7Euser/c%20d":   "a.example",
		"https://xn--bcher-kva.example/c":   "xn--bcher-kva.example",
		"https://[2606:4700::1111]/c":       "[2606:4700::1111]",
		"https://a.example/..a/.b/c..":      "a.example",
		"https://a.example/oauth;v=1/c":     "a.example",
		"https://sub.domain.a.example/c.d/": "sub.domain.a.example",
	} {
		if got, perr := ClientDocumentHost(id); perr != nil || got != host {
			t.Errorf("%s: %q, %v", id, got, perr)
		}
	}
	// R4.2, and what would let one document pass for several, or for another.
	for name, id := range map[string]string{
		"http": "http://a.example/c", "capitals": "HTTPS://a.example/c", "no host": "https:///c", "no scheme": "a.example/c",
		"no path": "https://a.example", "root": "https://a.example/", "fragment": "https://a.example/c#x", "empty fragment": "https://a.example/c#",
		"user": "https://u@a.example/c", "user and password": "https://u:p@a.example/c", "empty user": "https://@a.example/c",
		"dot": "https://a.example/./c", "dots": "https://a.example/a/../c", "last dots": "https://a.example/a/..",
		"escaped dots": "https://a.example/%2e%2e/c", "half escaped dots": "https://a.example/.%2E/c", "escaped slash": "https://a.example/a%2fc",
		"query": "https://a.example/c?x=1", "empty query": "https://a.example/c?", "backslash": `https://a.example\@b.example/c`,
		"space": "https://a.example/c d", "control": "https://a.example/c\n", "not ASCII": "https://bücher.example/c",
		"trailing dot": "https://a.example./c", "port 0": "https://a.example:0/c", "port text": "https://a.example:https/c",
		"odd IPv4": "https://0x7f.1/c", "decimal IPv4": "https://2130706433/c", "zone": "https://[fe80::1%25eth0]/c",
		"wildcard": "https://*.example/c", "long": "https://a.example/" + strings.Repeat("c", 512), "empty": "", "ours": "mcpc_abc",
	} {
		if host, perr := ClientDocumentHost(id); perr == nil || perr.Code != CodeInvalidRequest {
			t.Errorf("%s: %s has host %q", name, id, host)
		}
	}
}

const (
	docURL  = "https://app.example/client.json"
	goodDoc = `{"client_id":"` + docURL + `","client_name":"App","redirect_uris":["https://app.example/cb"]}`
)

// doc is the good document with members added; of two of one name, the added one
// is kept.
func doc(t *testing.T, add string) string {
	t.Helper()
	var m, more map[string]any
	if json.Unmarshal([]byte(goodDoc), &m) != nil || json.Unmarshal([]byte("{"+add+"}"), &more) != nil {
		t.Fatalf("bad test: %s", add)
	}
	for k, v := range more {
		m[k] = v
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestParseClientDocument(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		add   string
		check func(*ClientDocument) bool
	}{
		"no method means none":   {``, func(d *ClientDocument) bool { return d.TokenEndpointAuthMethod == AuthNone }},
		"unknown members":        {`"x":{"y":[1,null]},"contacts":["a@b.example"],"logo_uri":"https://app.example/l.png"`, func(d *ClientDocument) bool { return true }},
		"null members":           {`"client_secret":null,"jwks":null,"scope":null`, func(d *ClientDocument) bool { return d.JWKS == nil }},
		"unknown grants":         {`"grant_types":["urn:ietf:params:oauth:grant-type:device_code"]`, func(d *ClientDocument) bool { return slices.Equal(d.GrantTypes, []string{GrantAuthorizationCode}) }},
		"keys of a public one":   {`"token_endpoint_auth_method":"none","jwks_uri":"http://x","jwks":{}`, func(d *ClientDocument) bool { return d.JWKS == nil && d.JWKSURI == "" }},
		"a wildcard beside":      {`"redirect_uris":["http://localhost:*/cb","https://app.example/cb","javascript:alert(1)","https://app.example/cb"]`, func(d *ClientDocument) bool { return slices.Equal(d.RedirectURIs, []string{"https://app.example/cb"}) }},
		"inline keys":            {`"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[]}`, func(d *ClientDocument) bool { return string(d.JWKS) == `{"keys":[]}` }},
		"keys elsewhere":         {`"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://keys.example/k?v=1"`, func(d *ClientDocument) bool { return d.JWKSURI == "https://keys.example/k?v=1" }},
		"an algorithm":           {`"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://keys.example/k","token_endpoint_auth_signing_alg":"ES256"`, func(d *ClientDocument) bool { return d.SigningAlg == "ES256" }},
		"a name that lies":       {`"client_name":"Cl\u202eaude\u0000\n"`, func(d *ClientDocument) bool { return d.ClientName == "Claude" }},
		"a private-use redirect": {`"redirect_uris":["cursor://anysphere.cursor-mcp/oauth/callback"]`, func(d *ClientDocument) bool { return d.ApplicationType == ApplicationNative }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, perr := ParseClientDocument(docURL, []byte(doc(t, tt.add)))
			if perr != nil {
				t.Fatal(perr)
			}
			if !tt.check(d) {
				t.Errorf("got %+v", d)
			}
		})
	}
}

func TestClientDocumentsRefused(t *testing.T) {
	t.Parallel()
	const jwt = `"token_endpoint_auth_method":"private_key_jwt"`
	for name, body := range map[string]string{
		"empty": "", "HTML": "<!doctype html>", "a list": "[]", "null": "null", "rest": goodDoc + "{}",
		"two names":              strings.Replace(goodDoc, `"client_name"`, `"client_name":"Mallory","client_name"`, 1),
		"two redirects":          strings.Replace(goodDoc, `"client_name"`, `"redirect_uris":["https://evil.example/"],"client_name"`, 1),
		"another case":           doc(t, `"Redirect_URIs":["https://evil.example/"]`),
		"another case of ours":   doc(t, `"JWKS_uri":"https://evil.example/"`),
		"too long":               doc(t, `"x":"`+strings.Repeat("x", MaxClientDocumentBytes)+`"`),
		"too deep":               doc(t, `"x":`+strings.Repeat("[", 20)+strings.Repeat("]", 20)),
		"no client_id":           doc(t, `"client_id":null`),
		"another client_id":      doc(t, `"client_id":"https://claude.ai/oauth/mcp-oauth-client-metadata"`),
		"a slash more":           doc(t, `"client_id":"`+docURL+`/"`),
		"another spelling":       doc(t, `"client_id":"https://APP.example/client.json"`),
		"default port":           doc(t, `"client_id":"https://app.example:443/client.json"`),
		"a list of client_ids":   doc(t, `"client_id":["`+docURL+`"]`),
		"no name":                doc(t, `"client_name":null`),
		"a name of nothing":      doc(t, `"client_name":" \u200b\u0000 "`),
		"no redirects":           doc(t, `"redirect_uris":[]`),
		"redirects null":         doc(t, `"redirect_uris":null`),
		"no acceptable redirect": doc(t, `"redirect_uris":["http://app.example/cb","javascript:alert(1)","/cb","https://app.example/cb#f"]`),
		"a secret":               doc(t, `"client_secret":"hunter2"`),
		"an empty secret":        doc(t, `"client_secret":""`),
		"a secret's end":         doc(t, `"client_secret_expires_at":0`),
		"basic":                  doc(t, `"token_endpoint_auth_method":"client_secret_basic"`),
		"post":                   doc(t, `"token_endpoint_auth_method":"client_secret_post"`),
		"secret jwt":             doc(t, `"token_endpoint_auth_method":"client_secret_jwt"`),
		"mutual TLS":             doc(t, `"token_endpoint_auth_method":"tls_client_auth"`),
		"no keys":                doc(t, jwt),
		"two sets of keys":       doc(t, jwt+`,"jwks":{"keys":[]},"jwks_uri":"https://keys.example/k"`),
		"keys over http":         doc(t, jwt+`,"jwks_uri":"http://keys.example/k"`),
		"keys in a file":         doc(t, jwt+`,"jwks_uri":"file:///etc/keys"`),
		"keys with a user":       doc(t, jwt+`,"jwks_uri":"https://u:p@keys.example/k"`),
		"keys at an odd address": doc(t, jwt+`,"jwks_uri":"https://0177.0.0.1/k"`),
		"keys that are a number": doc(t, jwt+`,"jwks_uri":7`),
		"HS256":                  doc(t, jwt+`,"jwks_uri":"https://keys.example/k","token_endpoint_auth_signing_alg":"HS256"`),
		"alg none":               doc(t, jwt+`,"jwks_uri":"https://keys.example/k","token_endpoint_auth_signing_alg":"none"`),
		"implicit":               doc(t, `"response_types":["token"]`),
		"a bad scope":            doc(t, `"scope":"a\"b"`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, perr := ParseClientDocument(docURL, []byte(body))
			if perr == nil || perr.Code != CodeInvalidClientMetadata && perr.Code != CodeInvalidRedirectURI {
				t.Fatalf("got %+v, %v", d, perr)
			}
			if strings.Contains(perr.Description, "example") || strings.Contains(perr.Description, "hunter2") {
				t.Errorf("the error quotes the document: %s", perr.Description)
			}
		})
	}
}

// FuzzParseClientDocument: what is accepted has all that a client needs, cannot
// hold a secret, and sends codes to no address that a registration could not have.
func FuzzParseClientDocument(f *testing.F) {
	for _, body := range documents(f) {
		var d struct {
			ID string `json:"client_id"`
		}
		if json.Unmarshal(body, &d) == nil {
			f.Add(d.ID, string(body))
		}
	}
	f.Add(docURL, goodDoc)
	f.Fuzz(func(t *testing.T, id, body string) {
		d, perr := ParseClientDocument(id, []byte(body))
		if perr != nil {
			return
		}
		if d.ClientID != id || d.ClientName == "" || len(d.RedirectURIs) == 0 || len(body) > MaxClientDocumentBytes {
			t.Fatalf("%s: %+v", body, d)
		}
		for _, uri := range d.RedirectURIs {
			if _, perr := ParseRedirectURI(uri); perr != nil {
				t.Fatalf("redirect to %q", uri)
			}
		}
		switch d.TokenEndpointAuthMethod {
		case AuthNone:
		case AuthPrivateKeyJWT:
			if (d.JWKS == nil) == (d.JWKSURI == "") {
				t.Fatalf("keys of %+v", d)
			}
		default:
			t.Fatalf("method %s", d.TokenEndpointAuthMethod)
		}
	})
}

// FuzzClientDocumentHost: what is accepted, net/url reads as the same host, and
// requests as the same path.
func FuzzClientDocumentHost(f *testing.F) {
	f.Add("https://claude.ai/oauth/client")
	f.Add("https://a.example:8443/%7Ec")
	f.Add(`https://a.example\@b.example/c`)
	f.Fuzz(func(t *testing.T, id string) {
		host, perr := ClientDocumentHost(id)
		if perr != nil {
			return
		}
		checkReadsTheSame(t, id, host)
	})
}

func checkReadsTheSame(t *testing.T, id, host string) {
	t.Helper()
	u, err := url.Parse(id)
	if err != nil || u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery {
		t.Fatalf("%q: net/url reads %+v, %v", id, u, err)
	}
	want := strings.Trim(host, "[]")
	if !strings.EqualFold(u.Hostname(), want) || u.EscapedPath() == "" || path.Clean(u.Path) != strings.TrimSuffix(u.Path, "/") && !strings.Contains(u.Path, "//") {
		t.Fatalf("%q: net/url reads host %q and path %q", id, u.Hostname(), u.Path)
	}
}
