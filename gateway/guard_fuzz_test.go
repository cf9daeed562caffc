// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// fold is what the laxest server does to a header name.
func fold(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			return c
		case c >= 'A' && c <= 'Z':
			return c + 'a' - 'A'
		}
		return '_'
	}, name)
}

// FuzzStripHeaders: of whatever a client sends, nothing survives that folds to one
// of our names or to a credential, and Connection names none of them.
func FuzzStripHeaders(f *testing.F) {
	f.Add("X-Forwarded-User: root\r\n")
	f.Add("x_forwarded.user: a\r\nConnection: close, X-Forwarded-User\r\nAuthorization: Basic x\r\nDPoP: p\r\n")
	f.Add("Cookie: a=b; __Host-mcp_browser=1;c\r\nCookie: mcp_state_1=2\r\nMcp_Session_Id: 1\r\n")
	f.Add("connection:,, \t x-mcp-scope ,te\r\nProxy-Connection: Authorization\r\nTrailer: X\r\nUpgrade: h2c\r\n")
	f.Fuzz(func(t *testing.T, lines string) {
		mime, err := textproto.NewReader(bufio.NewReader(strings.NewReader(lines + "\r\n"))).ReadMIMEHeader()
		if err != nil {
			t.Skip()
		}
		r := httptest.NewRequest(http.MethodGet, "/mcp", nil)
		r.Header, r.Trailer = http.Header(mime), http.Header(mime).Clone()
		StripInbound(r)
		for name := range r.Trailer {
			if isIdentityHeader(name) {
				t.Errorf("trailer %q survived", name)
			}
		}
		stripCredentials(r)
		secret := map[string]bool{}
		for _, name := range append([]string{"Authorization", "DPoP", "Upgrade", "Te", "Trailer"}, identityHeaders[:]...) {
			secret[fold(name)] = true
		}
		for name, values := range r.Header {
			if secret[fold(name)] || name != headerSession && fold(name) == "mcp_session_id" {
				t.Errorf("%q survived", name)
			}
			for _, v := range values {
				checkStripped(t, name, v, secret)
			}
		}
		if r.Trailer != nil {
			t.Error("trailers survived")
		}
	})
}

func checkStripped(t *testing.T, name, value string, secret map[string]bool) {
	t.Helper()
	switch name {
	case "Connection", "Proxy-Connection":
		for tok := range strings.SplitSeq(value, ",") {
			if tok = textproto.TrimString(tok); tok == "" || secret[fold(tok)] && fold(tok) != "te" && fold(tok) != "trailer" && fold(tok) != "dpop" {
				t.Errorf("%s names %q", name, tok)
			}
		}
	case "Cookie":
		cookies, _ := http.ParseCookie(value)
		for _, c := range cookies {
			if isOurCookie(c.Name) {
				t.Errorf("cookie %q survived", c.Name)
			}
		}
	}
}

// FuzzDropParam: nothing that decodes to the name survives, and the rest is the
// same pairs in the same order, byte for byte.
func FuzzDropParam(f *testing.F) {
	for _, s := range []string{"", "&", "access_token", "a=1&access%5ftoken=2&b", "ACCESS_TOKEN=x", "%zz=1&a", "a=b&&c=%26access_token=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got := dropParam(raw, "access_token")
		var want []string
		for pair := range strings.SplitSeq(raw, "&") {
			name, err := url.QueryUnescape(strings.SplitN(pair, "=", 2)[0])
			if err != nil || !strings.EqualFold(name, "access_token") {
				want = append(want, pair)
			}
		}
		if got != strings.Join(want, "&") {
			t.Fatalf("%q became %q", raw, got)
		}
		values, _ := url.ParseQuery(got) // what could be parsed
		for name := range values {
			if strings.EqualFold(name, "access_token") {
				t.Fatalf("%q still has %q", got, name)
			}
		}
		if dropParam(got, "access_token") != got {
			t.Fatalf("%q changes again", got)
		}
	})
}

// FuzzSessionInbound: no id passes but one that was handed out, and that comes
// back as the backend's own.
func FuzzSessionInbound(f *testing.F) {
	ring := token.NewRing(token.Key{1})
	binding := func(subject string) sessionBinding {
		return sessionBinding{ring: ring, token: &liveToken{grant: &liveGrant{subject: subject, clientID: "c", resource: "r"}}}
	}
	bound := func(subject, id string) string {
		h := http.Header{headerSession: {id}}
		binding(subject).bindOutbound(h)
		return h.Get(headerSession)
	}
	for _, id := range []string{"", "s1", "a.b.c", ".", "\x7f", strings.Repeat("x", 300)} {
		f.Add(id, bound("me", id))
		f.Add(id, bound("you", id))
		f.Add(id, id)
	}
	f.Fuzz(func(t *testing.T, id, presented string) {
		h := http.Header{headerSession: {presented}}
		if binding("me").checkInbound(h) && bound("me", h.Get(headerSession)) != presented {
			t.Fatalf("%q passed as %q", presented, h.Get(headerSession))
		}
		mine := bound("me", id)
		h = http.Header{headerSession: {mine}}
		if !binding("me").checkInbound(h) || h.Get(headerSession) != id {
			t.Fatalf("%q bound as %q came back as %q", id, mine, h.Get(headerSession))
		}
		if binding("you").checkInbound(http.Header{headerSession: {mine}}) {
			t.Fatalf("%q passed for somebody else", mine)
		}
	})
}

// FuzzBearerThroughTheGuard: whatever the Authorization header is, the answer is a
// precise 4xx and the backend is not called, except for a token we made.
func FuzzBearerThroughTheGuard(f *testing.F) {
	b := newTestbed(f)
	r := b.bearerRequest(context.Background(), "g", person("1"))
	good := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	for _, s := range []string{"", "Bearer", "Bearer " + good, "bearer  " + good, "Basic eDp5", "Bearer " + good[:30], "Bearer \x00", good} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, authorization string) {
		r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
		r.Header["Authorization"] = []string{authorization}
		rec := httptest.NewRecorder()
		admitted := false
		err := b.guard.Serve(rec, r, "/mcp", func(http.ResponseWriter, *http.Request, *Admitted) error {
			admitted = true
			return nil
		})
		scheme, rest, _ := strings.Cut(authorization, " ")
		// Genuine by the key alone: each process of a fuzzing run seals its own seeds.
		_, forged := b.st.ring.Load().OpenAccess(strings.Trim(rest, " "))
		if want := strings.EqualFold(scheme, "Bearer") && forged == nil; admitted != want || err != nil {
			t.Fatalf("admitted %v, %v", admitted, err)
		}
		challenge := rec.Header().Get("WWW-Authenticate")
		if !admitted && (rec.Code != 400 && rec.Code != 401 || rec.Code == 401 != strings.HasPrefix(challenge, "Bearer resource_metadata=")) {
			t.Fatalf("%d %q", rec.Code, challenge)
		}
	})
}
