// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// TestFacts: what the id_token does not say, the userinfo may; what it does, counts.
func TestFacts(t *testing.T) {
	t.Parallel()
	person := func(edit func(*identity.Identity)) identity.Identity {
		id := identity.Identity{Upstream: "company", Kind: "oidc", ID: "alice-1"}
		edit(&id)
		return id
	}
	for name, tc := range map[string]struct {
		token, userinfo claims
		want            identity.Identity
		asked           bool
	}{
		"everything in the token": {
			claims{"preferred_username": "a", "name": "A", "email": "a@x.org", "email_verified": true, "groups": []string{"g"}},
			nil,
			person(func(i *identity.Identity) {
				i.Login, i.Name, i.Email, i.EmailVerified, i.Groups = "a", "A", "a@x.org", true, []string{"g"}
			}), false,
		},
		"everything in the userinfo": {
			nil,
			claims{"preferred_username": "a", "name": "A", "email": "a@x.org", "email_verified": true, "groups": []string{"g"}},
			person(func(i *identity.Identity) {
				i.Login, i.Name, i.Email, i.EmailVerified, i.Groups = "a", "A", "a@x.org", true, []string{"g"}
			}), true,
		},
		"the token counts": {
			claims{"name": "Token", "preferred_username": "token", "email": "token@x.org", "groups": []string{"token"}},
			claims{"name": "Info", "preferred_username": "info", "email": "info@x.org", "email_verified": true, "groups": []string{"info"}},
			person(func(i *identity.Identity) {
				i.Login, i.Name, i.Email, i.Groups = "token", "Token", "token@x.org", []string{"token"}
			}), true,
		},
		"vouched for in the userinfo": {
			claims{"email": "a@x.org"},
			claims{"email": "a@x.org", "email_verified": true},
			person(func(i *identity.Identity) { i.Login, i.Email, i.EmailVerified = "a@x.org", "a@x.org", true }), true,
		},
		"no groups is no gap": {
			claims{"preferred_username": "a", "name": "A", "email": "a@x.org", "email_verified": true, "groups": []string{}},
			claims{"groups": []string{"old"}},
			person(func(i *identity.Identity) { i.Login, i.Name, i.Email, i.EmailVerified = "a", "A", "a@x.org", true }), false,
		},
		"nothing": {nil, nil, person(func(*identity.Identity) {}), true},
		"no login, no verified address": {
			claims{"email": "a@x.org", "email_verified": false},
			nil,
			person(func(i *identity.Identity) { i.Email = "a@x.org" }), true,
		},
		"names that cannot be shown": {
			claims{"preferred_username": "\u202eecila", "name": " A\nlice\u0000 ", "email": "not an address"},
			nil,
			person(func(i *identity.Identity) { i.Login, i.Name = "ecila", "Alice" }), true,
		},
		"names that are none": {
			claims{"preferred_username": 1, "name": []string{"A"}, "email": claims{}, "email_verified": true},
			claims{"name": "A"},
			person(func(i *identity.Identity) { i.Name = "A" }), true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(time.Now)
			p.identity = claims{"iss": theIssuer, "aud": theClient, "sub": "alice-1"}
			for k, v := range tc.token {
				p.identity[k] = v
			}
			for k, v := range tc.userinfo {
				p.userinfo[k] = v
			}
			in, err := p.signIn(t, p.connect(t))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, in.Identity); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
			if asked := p.count("userinfo") == 1; asked != tc.asked {
				t.Errorf("the userinfo endpoint was asked: %t", asked)
			}
		})
	}
}

// TestVerifiedMeansTrue: an address that is almost verified opens nothing.
func TestVerifiedMeansTrue(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]claims{
		"in words":        {"email_verified": "true"},
		"in numbers":      {"email_verified": 1},
		"in a list":       {"email_verified": []bool{true}},
		"null":            {"email_verified": nil},
		"false":           {"email_verified": false},
		"missing":         {},
		"Entra's":         {"xms_edov": true},
		"Entra's number":  {"xms_edov": "1"},
		"by another name": {"emailVerified": true, "Email_verified": true, "verified_email": true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(time.Now)
			p.edit = func(id claims) {
				delete(id, "email_verified")
				for k, v := range c {
					id[k] = v
				}
			}
			in := mustSignIn(t, p, p.connect(t))
			if in.Identity.EmailVerified || in.Identity.Email != "alice@example.com" {
				t.Errorf("identity %+v", in.Identity)
			}
			if len(in.Hints) != 1 || !strings.Contains(in.Hints[0].Text, "does not vouch for your e-mail address") {
				t.Errorf("hints %v", in.Hints)
			}
		})
	}
}

// TestAttackAddressOfAnother: the id_token has Mallory's unverified address, and the
// userinfo a verified one. The two are not put together.
func TestAttackAddressOfAnother(t *testing.T) {
	t.Parallel()
	p := newProvider(time.Now)
	p.edit = func(c claims) { c["email"] = "ceo@example.com"; delete(c, "email_verified") }
	p.userinfo = claims{"sub": "alice-1", "email": "mallory@example.com", "email_verified": true}
	in := mustSignIn(t, p, p.connect(t))
	if in.Identity.EmailVerified {
		t.Errorf("identity %+v", in.Identity)
	}
}

// TestHintsAndLogs: what the person is told who is not let in, and the operator. No
// log names anybody.
func TestHintsAndLogs(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit  func(claims)
		claim string
		hint  string
		log   string
	}{
		"all is well":        {func(claims) {}, "", "", ""},
		"no groups":          {func(c claims) { delete(c, "groups") }, "", "", ""},
		"no groups, wanted":  {func(c claims) { delete(c, "groups") }, "groups", "did not say which groups", "sends no claim"},
		"empty, wanted":      {func(c claims) { c["groups"] = []string{} }, "groups", "", ""},
		"too many":           {func(c claims) { delete(c, "groups"); c["_claim_names"] = claims{"groups": "s"} }, "", "too many", "too many"},
		"far too many":       {func(c claims) { c["groups"] = manyNames(maxGroups+1, "g") }, "", "too many", "too many"},
		"some are no groups": {func(c claims) { c["groups"] = []any{"ops", 1, 2} }, "", "", "ignored=2"},
		"none is a group":    {func(c claims) { c["groups"] = 7 }, "groups", "did not say which groups", "ignored=1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			p := newProvider(time.Now)
			p.edit = tc.edit
			o := p.connect(t, func(c *Config) {
				c.GroupsClaim = tc.claim
				c.Logger = slog.New(slog.NewTextHandler(&log, nil))
			})
			in := mustSignIn(t, p, o)
			if (len(in.Hints) == 1) != (tc.hint != "") || tc.hint != "" && !strings.Contains(in.Hints[0].Text, tc.hint) {
				t.Errorf("hints %v, want %q", in.Hints, tc.hint)
			}
			if (log.Len() > 0) != (tc.log != "") || !strings.Contains(log.String(), tc.log) {
				t.Errorf("log %q, want %q", log.String(), tc.log)
			}
			for _, secret := range []string{"alice", "Alice", theAccess, "g0001"} {
				if strings.Contains(log.String(), secret) {
					t.Errorf("the log names %s: %s", secret, log.String())
				}
			}
		})
	}
}

// TestUserinfoFaults: half of the facts are not the facts.
func TestUserinfoFaults(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		serve  http.HandlerFunc
		reason upstream.Reason
		says   string
	}{
		"500":              {send(500, "", "SECRET"), upstream.ReasonUnavailable, "status 500"},
		"429":              {send(429, "", ""), upstream.ReasonUnavailable, "status 429"},
		"404":              {send(404, "", ""), upstream.ReasonUnavailable, "status 404"},
		"204":              {send(204, "application/json", ""), upstream.ReasonUnavailable, "status 204"},
		"page":             {send(200, "text/html", "<html>"), upstream.ReasonUnavailable, "text/html"},
		"no content type":  {send(200, "", `{"sub":"alice-1"}`), upstream.ReasonUnavailable, "not JSON"},
		"null":             {send(200, "application/json", "null"), upstream.ReasonUnavailable, "not a JSON object"},
		"half":             {send(200, "application/json", `{"sub":"alice-1",`), upstream.ReasonUnavailable, "not a JSON object"},
		"a gigabyte":       {send(200, "application/json", `{"sub":"`+strings.Repeat("a", maxBody)), upstream.ReasonUnavailable, "longer than"},
		"a claim twice":    {send(200, "application/json", `{"sub":"alice-1","groups":["a"],"groups":["ops"]}`), upstream.ReasonUnavailable, "twice"},
		"error as 200":     {send(200, "application/json", `{"error":"invalid_token"}`), upstream.ReasonUnavailable, "does not say who"},
		"another user":     {send(200, "application/json", `{"sub":"root-1","groups":["ops"]}`), upstream.ReasonInvalid, "another user"},
		"user in capitals": {send(200, "application/json", `{"sub":"ALICE-1"}`), upstream.ReasonInvalid, "another user"},
		"user as a list":   {send(200, "application/json", `{"sub":["alice-1"]}`), upstream.ReasonUnavailable, "does not say who"},
		"nobody":           {send(200, "application/json", `{}`), upstream.ReasonUnavailable, "does not say who"},
		"redirect":         {redirect("https://evil.example/"), upstream.ReasonUnavailable, "status 302"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(time.Now)
			delete(p.identity, "groups")
			p.routes[p.at("userinfo")] = tc.serve
			_, err := p.signIn(t, p.connect(t))
			wantRefusal(t, err, tc.reason, tc.says)
			keepsSecret(t, err, "SECRET", "root-1")
		})
	}
}

// TestUserinfoThatSaysNothing: being refused is knowing less, and the operator hears
// of it. Entra's refuses tokens for other APIs.
func TestUserinfoThatSaysNothing(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 403} {
		var log bytes.Buffer
		p := newProvider(time.Now)
		delete(p.identity, "groups")
		p.routes[p.at("userinfo")] = send(status, "application/json", `{"error":"`+theAccess+`"}`)
		in := mustSignIn(t, p, p.connect(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) }))
		if in.Identity.ID != "alice-1" || in.Identity.Groups != nil {
			t.Errorf("identity %+v", in.Identity)
		}
		if !strings.Contains(log.String(), "userinfo endpoint refused") || strings.Contains(log.String(), theAccess) {
			t.Errorf("log %q", log.String())
		}
	}
}

// TestUserinfoRequest: the token travels in the header, and nowhere else.
func TestUserinfoRequest(t *testing.T) {
	t.Parallel()
	p := newProvider(time.Now)
	delete(p.identity, "name")
	mustSignIn(t, p, p.connect(t))
	r := p.last(t, "userinfo")
	if r.Method != http.MethodGet || r.Header.Get("Authorization") != "Bearer "+theAccess || r.URL.RawQuery != "" {
		t.Errorf("%s %s, Authorization %q", r.Method, r.URL, r.Header.Get("Authorization"))
	}
}

// TestSignedUserinfo: a provider may sign the answer. Then it is checked like an
// id_token, and an id_token in its place is for another purpose only in name.
func TestSignedUserinfo(t *testing.T) {
	t.Parallel()
	good := claims{"iss": theIssuer, "aud": []string{theClient}, "sub": "alice-1", "groups": []string{"ops"}}
	with := func(edit func(claims)) claims {
		c := claims{}
		for k, v := range good {
			c[k] = v
		}
		edit(c)
		return c
	}
	for name, tc := range map[string]struct {
		jwt    string
		reason upstream.Reason
	}{
		"good":            {keyA().sign(good), ""},
		"another key":     {mallory().sign(good), upstream.ReasonUnavailable},
		"no JWT":          {"{}", upstream.ReasonUnavailable},
		"another issuer":  {keyA().sign(with(func(c claims) { c["iss"] = "https://evil.example" })), upstream.ReasonUnavailable},
		"no issuer":       {keyA().sign(with(func(c claims) { delete(c, "iss") })), upstream.ReasonUnavailable},
		"another client":  {keyA().sign(with(func(c claims) { c["aud"] = "other" })), upstream.ReasonUnavailable},
		"another subject": {keyA().sign(with(func(c claims) { c["sub"] = "root-1" })), upstream.ReasonInvalid},
		"an access token": {keyA().signBytes(must(marshal(good)), "typ", "at+jwt"), upstream.ReasonUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(time.Now)
			delete(p.identity, "groups")
			p.routes[p.at("userinfo")] = send(200, "application/jwt; charset=utf-8", tc.jwt)
			in, err := p.signIn(t, p.connect(t))
			if tc.reason == "" {
				if err != nil || !cmp.Equal(in.Identity.Groups, []string{"ops"}) {
					t.Errorf("%+v, %v", in, err)
				}
				return
			}
			wantRefusal(t, err, tc.reason)
		})
	}
}
