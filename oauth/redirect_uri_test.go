// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"strings"
	"testing"
)

// Every redirect URI of a client in our table of real clients has to be
// accepted: one refusal is a client that cannot connect at all.
func TestParseRedirectURIOfRealClients(t *testing.T) {
	t.Parallel()
	for _, c := range clientRedirects {
		t.Run(c.client, func(t *testing.T) {
			t.Parallel()
			for _, u := range c.uris {
				kind, err := ParseRedirectURI(u.uri)
				if err != nil {
					t.Errorf("%s: %v", u.uri, err)
				}
				if kind != u.kind {
					t.Errorf("%s: kind %s, want %s", u.uri, kind, u.kind)
				}
				if got := RedirectHost(u.uri); got != u.shown {
					t.Errorf("%s: shown as %q, want %q", u.uri, got, u.shown)
				}
				if !MatchRedirectURI([]string{u.uri}, u.uri) {
					t.Errorf("%s does not match itself", u.uri)
				}
			}
		})
	}
}

func TestParseRedirectURIAccepts(t *testing.T) {
	t.Parallel()
	tests := map[string]RedirectKind{
		"https://h":                             RedirectHTTPS,
		"https://h?x=1":                         RedirectHTTPS,
		"https://h:8443/cb":                     RedirectHTTPS,
		"HTTPS://H/cb":                          RedirectHTTPS,
		"https://192.0.2.7/cb":                  RedirectHTTPS,
		"https://[2001:db8::1]:8443/cb":         RedirectHTTPS,
		"https://xn--bcher-kva.example/cb":      RedirectHTTPS,
		"https://h_x-.example.com/cb":           RedirectHTTPS,
		"https://h/a%20b/%C3%A9?q=%26":          RedirectHTTPS,
		"https://h/.well-known/cb":              RedirectHTTPS,
		"https://h/...":                         RedirectHTTPS,
		"https://h/a//b":                        RedirectHTTPS,
		"https://h/cb?u=https://x/y?z":          RedirectHTTPS,
		"https://h/@user":                       RedirectHTTPS,
		"https://1e100.net/cb":                  RedirectHTTPS,
		"https://0x.example/cb":                 RedirectHTTPS,
		"http://127.0.0.1":                      RedirectLoopback,
		"http://127.0.0.1:65535/":               RedirectLoopback,
		"http://[::1]:1/cb?x=1":                 RedirectLoopback,
		"http://localhost":                      RedirectLoopback,
		"http://LocalHost:3000/cb":              RedirectLoopback,
		"HTTP://localhost:3000/cb":              RedirectLoopback,
		"com.example.app:/cb":                   RedirectPrivateUse,
		"com.example.app://cb":                  RedirectPrivateUse,
		"com.example.app:///cb":                 RedirectPrivateUse,
		"myapp://":                              RedirectPrivateUse,
		"web+mcp://cb":                          RedirectPrivateUse,
		"vscode-insiders://publisher.ext/cb":    RedirectPrivateUse,
		"CURSOR://anysphere.cursor-mcp/oauth":   RedirectPrivateUse,
		"msauth.com.example.app://auth":         RedirectPrivateUse,
		"com.googleusercontent.apps.123:/oauth": RedirectPrivateUse,
	}
	for uri, want := range tests {
		t.Run(uri, func(t *testing.T) {
			t.Parallel()
			kind, err := ParseRedirectURI(uri)
			if err != nil {
				t.Fatal(err)
			}
			if kind != want {
				t.Errorf("kind %s, want %s", kind, want)
			}
		})
	}
}

// The stories behind these are told by the comment over each group. All of them
// end with an authorization code at an attacker.
func TestAttackRedirectURI(t *testing.T) {
	t.Parallel()
	groups := map[string][]string{
		// Not absolute, or not a URI.
		"syntax": {
			"", ":", "//h/cb", "/cb", "h/cb", "https", "https:", "https:/", "https://", "https:///cb", "https:h/cb",
			"://h", "1a://h", "a://h", "-a://h", "c:/windows", "https ://h", " https://h", "https://h ", "h\tttps://h",
			"\x01https://h", "https:\n//h", "java\nscript:alert(1)", "https://h/\x00", "https://h/\x7f", "http:localhost",
			"http:/localhost", "http:////localhost", "sch_eme://h", "sch*eme://h", "sch%41eme://h", "https:/\\h", "1https://h",
		},
		// Code execution in the browser, whatever the case.
		"active schemes": {
			"javascript:alert(1)", "JavaScript:alert(1)", "javascript://h/%0aalert(1)", "javascript:/x", "data:text/html,x",
			"data:/x", "DATA://x", "file:///etc/passwd", "vbscript:/x", "blob:https://h/x", "blob:/x", "about:/blank",
			"view-source:https://h", "view-source:/x", "filesystem:/x", "jar:/x", "wyciwyg://x", "livescript:/x",
		},
		// Schemes of protocols, of the system and of the browser itself.
		"system schemes": {
			"ftp://h/cb", "ws://h/cb", "wss://h/cb", "mailto:/a", "tel:/1", "sms:/1", "urn:/ietf:wg:oauth:2.0:oob", "sip:/a",
			"ldap://h", "ldaps://h", "gopher://h", "telnet://h", "ssh://h", "sftp://h", "smb://h", "afp://h", "nfs://h",
			"ms-settings:/x", "MS-Settings:/x", "ms-msdt:/x", "ms-excel://h", "ms-appinstaller:/x", "search:/x", "search-ms:/x",
			"intent://h/cb", "android-app://h/cb", "shortcuts://run-shortcut", "x-apple.systempreferences:/x", "x-apple-helpcenter:/x",
			"chrome://settings", "chrome-extension://abc/cb", "moz-extension://abc/cb", "safari-web-extension://abc/cb",
			"itms-services://x", "microsoft-edge:/x", "microsoft-edge-holographic:/x", "edge://settings", "resource://x",
			"content://x", "coap+tcp://h", "svn+ssh://h", "x+javascript:/x", "view-source+https://h", "foo+http://h", "example:/x",
		},
		// A URI within a URI: whoever unwraps it runs it.
		"opaque": {
			"com.example.app:cb", "com.app:javascript:alert(1)", "com.app:https://h", "cursor:", "cursor:anysphere", "feed:https://h",
		},
		// Plain http that is not this machine.
		"not loopback": {
			"http://h/cb", "http://localhost.evil.com", "http://localhost.evil.com:80/cb", "http://127.0.0.1.evil.com/cb",
			"http://evil.com/localhost", "http://evil.com?localhost", "http://localhost./cb", "http://127.0.0.1./cb",
			"http://127.1/cb", "http://127.0.0.2/cb", "http://127.000.000.001/cb", "http://0x7f.0.0.1/cb", "http://0x7f000001/cb",
			"http://2130706433/cb", "http://017700000001/cb", "http://0.0.0.0/cb", "http://[::]/cb", "http://[::ffff:127.0.0.1]/cb",
			"http://[0:0:0:0:0:0:0:1]/cb", "http://[::1%25eth0]/cb", "http://[::1%eth0]/cb", "http://[::1].evil.com/cb", "http://[::1]evil/cb",
			"http://::1/cb", "http://[::1/cb", "http://::1]/cb", "http://localhost%2eevil.com/cb", "http://localhost%00.evil.com/cb",
			"http://locaIhost/cb", "http://ⓛocalhost/cb", "http://l\u00f6calhost/cb", "http:///cb", "http://:80/cb", "http://host.docker.internal/cb",
			"http://lvh.me/cb", "http://10.0.0.1/cb",
		},
		// The host a reader sees is not the host a browser goes to.
		"user information": {
			"http://127.0.0.1@evil.com", "http://127.0.0.1:80@evil.com/cb", "https://good.com@evil.com/cb", "https://user:pw@h/cb",
			"https://@h/cb", "cursor://good@evil/cb", "http://localhost:pw@127.0.0.1/cb", "https://good.com%40evil.com/cb",
		},
		"backslash": {
			`https://evil.com\@good.com`, `https:\\evil.com`, `https://evil.com\.good.com/cb`, `http://localhost\@evil.com/`, `https://h/a\b`,
			"https://h/%5cb", "https://h/%5Cb",
		},
		// A fragment swallows the response.
		"fragment": {"https://h/cb#", "https://h/cb#x", "https://h#@good.com/", "cursor://x#", "http://localhost/#/cb"},
		// Wildcards, in case anybody ever matches them.
		"pattern": {"https://*.example.com/cb", "https://h/*", "http://localhost:*/cb", "https://h/cb?*", "*://h"},
		"not ASCII": {
			"https://exämple.com/cb", "https://h/é", "https://h/\u202e", "https://h\u3002com/cb", "https://ｈ/cb", "https://h/\xff", "cursor://ä/",
		},
		"host": {
			"https://h..com/cb", "https://.com/cb", "https://h./cb", "https://h%41/cb", "https://h,evil/cb", "https://h;evil/cb",
			"https://(h)/cb", "https://h'/cb", "https://[h]/cb", "https://[]/cb", "https://[::1]x/cb", "https://127.1/cb", "https://0x7f.1/cb",
			"https://1/cb", "https://1.2.3.4.5/cb", "https://256.1.1.1/cb", "https://" + strings.Repeat("a", 64) + "/cb",
			"https://" + strings.Repeat("a.", 127) + "/cb", "https://[fe80::1%25eth0]/cb", "https://[1.2.3.4]/cb",
		},
		"port": {
			"https://h:/cb", "https://h:0/cb", "https://h:080/cb", "https://h:65536/cb", "https://h:99999999999/cb", "https://h:-1/cb", "https://h:+1/cb",
			"https://h:1x/cb", "https://h:1:2/cb", "http://localhost:/cb", "http://localhost:0/", "https://h:８０/cb",
		},
		// What a proxy, the client and the browser each resolve in their own way.
		"path": {
			"https://h/a/../b", "https://h/..", "https://h/.", "https://h/./a", "https://h/%2e%2e/a", "https://h/%2E./a", "https://h/.%2e",
			"https://h/a%2fb", "https://h/a%2Fb", "https://h/[x]", "com.example.app:/../x", "https://h/{x}", "https://h/<x>", "https://h/|", "https://h/^", "https://h/`", `https://h/"`,
		},
		"escapes": {"https://h/%", "https://h/%4", "https://h/%zz", "https://h/%00", "https://h/%0d%0aX:y", "https://h/?x=%1f", "https://h/%7f", "https://h?%", "https://h?%2", "https://h?a[]=1"},
		// A response that has its parameters twice, the first of them the client's.
		"response parameters": {
			"https://h/cb?code=x", "https://h/cb?a=1&state=x", "https://h/cb?iss=https://evil", "https://h/cb?%69ss=x", "https://h/cb?ISS=x",
			"https://h/cb?a=1;iss=x", "https://h/cb?error", "http://localhost/cb?error_description=x", "cursor://x?code=", "https://h/cb??&code=1",
		},
		"length": {"https://h/" + strings.Repeat("a", maxURIBytes), strings.Repeat("a", 65) + "://h"},
	}
	for name, uris := range groups {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, uri := range uris {
				kind, err := ParseRedirectURI(uri)
				if err == nil {
					t.Errorf("%q accepted as %s", uri, kind)
					continue
				}
				if err.Code != CodeInvalidRedirectURI {
					t.Errorf("%q: %s, want invalid_redirect_uri", uri, err.Code)
				}
				if len(uri) > 8 && strings.Contains(err.Description, uri) {
					t.Errorf("%q is repeated in %q", uri, err.Description)
				}
				if got := RedirectHost(uri); got != "" {
					t.Errorf("%q is shown as %q, want nothing", uri, got)
				}
				if MatchRedirectURI([]string{uri}, uri) {
					t.Errorf("%q matches itself although it must not be registered", uri)
				}
			}
		})
	}
}

// The developer of a client has nothing but this text to find the mistake by.
func TestParseRedirectURIReasons(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"/cb":                        "must be an absolute URI",
		"https://user@h/cb":          "must not have user information",
		"https://h/cb#x":             "must not have a fragment",
		"https:///cb":                "must have a host",
		"https://h:0/cb":             "has a malformed port",
		"https://h./cb":              "has a malformed host",
		"https://h/../cb":            "must not have dot segments",
		"https://h/a%2Fb":            "must not have escaped slashes",
		"https://h/%zz":              "contains a broken escape",
		"https://h/%00":              "contains an escaped control character",
		"https://h/é":                "contains a character that is not allowed",
		"https://h/cb?code=1":        "must not contain a parameter of the authorization response",
		"http://h/cb":                "may use http only for 127.0.0.1, [::1] and localhost",
		"javascript:alert(1)":        "has a scheme that is not allowed",
		"com.example.app:cb":         "must have a slash after the scheme",
		strings.Repeat("a", 1+1<<11): "is longer than 2048 bytes",
	} {
		if _, err := ParseRedirectURI(uri); err == nil || err.Description != "redirect_uri "+want {
			t.Errorf("%.40s: %v, want %q", uri, err, want)
		}
	}
}

func TestRedirectKindString(t *testing.T) {
	t.Parallel()
	for kind, want := range map[RedirectKind]string{
		RedirectHTTPS: "https", RedirectLoopback: "loopback", RedirectPrivateUse: "private-use", -1: "unknown",
	} {
		if got := kind.String(); got != want {
			t.Errorf("%d: %q, want %q", int(kind), got, want)
		}
	}
}

// Schemes are compared in lower case, so a list with an upper-case entry would
// have a hole.
func TestRefusedSchemeListsAreLowerCase(t *testing.T) {
	t.Parallel()
	for _, list := range [][]string{activeSchemes, systemSchemes, refusedPrefixes, permanentSchemes} {
		for _, s := range list {
			if s != strings.ToLower(s) || s == "http" || s == "https" {
				t.Errorf("%q", s)
			}
			if !refusedScheme(s) {
				t.Errorf("%q is listed and not refused", s)
			}
		}
	}
}

func TestMatchRedirectURI(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		registered []string
		requested  string
		want       bool
	}{
		"same":                        {[]string{"https://h/cb"}, "https://h/cb", true},
		"one of several":              {[]string{"https://a/cb", "https://h/cb"}, "https://h/cb", true},
		"same private-use":            {[]string{"cursor://x/cb"}, "cursor://x/cb", true},
		"loopback, registered port":   {[]string{"http://127.0.0.1:33418/"}, "http://127.0.0.1:33418/", true},
		"loopback, other port":        {[]string{"http://127.0.0.1:33418/"}, "http://127.0.0.1:49152/", true},
		"loopback, port not regd":     {[]string{"http://127.0.0.1/callback"}, "http://127.0.0.1:49152/callback", true},
		"loopback, port not reqd":     {[]string{"http://127.0.0.1:1/callback"}, "http://127.0.0.1/callback", true},
		"localhost, other port":       {[]string{"http://localhost/callback"}, "http://localhost:3118/callback", true},
		"::1, other port":             {[]string{"http://[::1]:1/cb"}, "http://[::1]:2/cb", true},
		"loopback, query kept":        {[]string{"http://localhost:1/cb?a=1"}, "http://localhost:2/cb?a=1", true},
		"loopback, second registered": {[]string{"https://h/cb", "http://localhost/cb"}, "http://localhost:5/cb", true},

		"nothing registered":            {nil, "https://h/cb", false},
		"nothing requested":             {[]string{"https://h/cb"}, "", false},
		"other path":                    {[]string{"https://h/cb"}, "https://h/cb/", false},
		"longer path":                   {[]string{"https://h/cb"}, "https://h/cb/x", false},
		"prefix of the path":            {[]string{"https://h/cb"}, "https://h/c", false},
		"other case of path":            {[]string{"https://h/cb"}, "https://h/CB", false},
		"other case of host":            {[]string{"https://h/cb"}, "https://H/cb", false},
		"added query":                   {[]string{"https://h/cb"}, "https://h/cb?x=1", false},
		"empty query":                   {[]string{"https://h/cb"}, "https://h/cb?", false},
		"https port is not free":        {[]string{"https://h/cb"}, "https://h:8443/cb", false},
		"https default port":            {[]string{"https://h/cb"}, "https://h:443/cb", false},
		"https on localhost":            {[]string{"https://localhost:1/cb"}, "https://localhost:2/cb", false},
		"localhost is not 127.0.0.1":    {[]string{"http://localhost:1/cb"}, "http://127.0.0.1:1/cb", false},
		"127.0.0.1 is not ::1":          {[]string{"http://127.0.0.1/cb"}, "http://[::1]/cb", false},
		"127.0.0.1 is not 127.0.0.2":    {[]string{"http://127.0.0.1/cb"}, "http://127.0.0.2/cb", false},
		"loopback, other path":          {[]string{"http://127.0.0.1:1/cb"}, "http://127.0.0.1:2/cb2", false},
		"loopback, empty path is not /": {[]string{"http://127.0.0.1:1/"}, "http://127.0.0.1:2", false},
		"loopback, other query":         {[]string{"http://127.0.0.1:1/cb?a=1"}, "http://127.0.0.1:2/cb?a=2", false},
		"loopback, empty query":         {[]string{"http://127.0.0.1:1/cb"}, "http://127.0.0.1:2/cb?", false},
		"loopback http is not https":    {[]string{"http://localhost/cb"}, "https://localhost/cb", false},
		"private-use, other port":       {[]string{"cursor://x:1/cb"}, "cursor://x:2/cb", false},
		"fragment":                      {[]string{"https://h/cb"}, "https://h/cb#x", false},
		"host with a suffix":            {[]string{"http://localhost/cb"}, "http://localhost.evil.com/cb", false},
		"user information":              {[]string{"http://localhost/cb"}, "http://localhost:1@evil.com/cb", false},
		"port that is no port":          {[]string{"http://localhost/cb"}, "http://localhost:1evil.com/cb", false},
		"registered in an older time":   {[]string{"javascript:alert(1)"}, "javascript:alert(1)", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := MatchRedirectURI(tt.registered, tt.requested); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// Copilot CLI registers 33418 by its metadata document and listens elsewhere;
// opencode's document names another path, which must not match: its DCR fallback
// does.
func TestMatchRedirectURIOfRealClients(t *testing.T) {
	t.Parallel()
	claudeCode := []string{"http://localhost/callback", "http://127.0.0.1/callback"}
	if !MatchRedirectURI(claudeCode, "http://localhost:3118/callback") {
		t.Error("Claude Code's ephemeral port is refused")
	}
	if !MatchRedirectURI([]string{"http://127.0.0.1:33418/"}, "http://127.0.0.1:61234/") {
		t.Error("Copilot CLI's ephemeral port is refused")
	}
	if MatchRedirectURI([]string{"http://127.0.0.1:19876/callback"}, "http://127.0.0.1:19876/mcp/oauth/callback") {
		t.Error("a different path was accepted")
	}
}

func TestRedirectHost(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"https://Claude.AI/api/mcp/auth_callback": "claude.ai",
		"https://h:8443/cb":                       "h:8443",
		"https://xn--pple-43d.com/cb":             "xn--pple-43d.com", // never the Cyrillic look-alike
		"https://[2001:DB8::1]/cb":                "[2001:db8::1]",
		"http://localhost:6274/oauth/callback":    "localhost:6274",
		"com.example.app:/cb":                     "com.example.app:",
		"com.example.app:///cb":                   "com.example.app:",
		"Cursor://anysphere.cursor-mcp/oauth":     "cursor://anysphere.cursor-mcp",
		"javascript:alert(1)":                     "",
		"":                                        "",
	}
	for uri, want := range tests {
		if got := RedirectHost(uri); got != want {
			t.Errorf("RedirectHost(%q) = %q, want %q", uri, got, want)
		}
	}
}

func TestAuthorizationResponseURL(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		uri    string
		params []string
		want   string
	}{
		"plain":          {"https://h/cb", []string{"code", "c", "state", "s"}, "https://h/cb?code=c&state=s"},
		"empty left out": {"https://h/cb", []string{"code", "c", "state", "", "iss", "i"}, "https://h/cb?code=c&iss=i"},
		"escaped":        {"https://h/cb", []string{"state", "a b&c=d+%é#;\""}, "https://h/cb?state=a+b%26c%3Dd%2B%25%C3%A9%23%3B%22"},
		"issuer":         {"https://h/cb", []string{"iss", "https://as.example"}, "https://h/cb?iss=https%3A%2F%2Fas.example"},
		"own query":      {"https://h/cb?a=%2f+b&c", []string{"code", "c"}, "https://h/cb?a=%2f+b&c&code=c"},
		"empty query":    {"https://h/cb?", []string{"code", "c"}, "https://h/cb?code=c"},
		"open ampersand": {"https://h/cb?a=1&", []string{"code", "c"}, "https://h/cb?a=1&code=c"},
		"second ?":       {"https://h/cb?a=b?", []string{"code", "c"}, "https://h/cb?a=b?code=c"},
		"no path":        {"https://h", []string{"code", "c"}, "https://h?code=c"},
		"one slash":      {"com.example.app:/cb", []string{"code", "c"}, "com.example.app:/cb?code=c"},
		"private-use":    {"cursor://x/cb", []string{"error", "access_denied"}, "cursor://x/cb?error=access_denied"},
		"nothing":        {"https://h/cb", nil, "https://h/cb"},
		"all empty":      {"https://h/cb?a=1", []string{"state", ""}, "https://h/cb?a=1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := AuthorizationResponseURL(tt.uri, tt.params...); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
