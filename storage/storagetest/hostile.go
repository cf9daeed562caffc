// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// hostileTexts are what a client may send where a text is expected. They come
// back byte for byte.
func hostileTexts() map[string]string {
	return map[string]string{
		"empty": "", "NUL": "a\x00b", "only NUL": "\x00", "invalid UTF-8": "a\xff\xfe\x80z", "cut off UTF-8": "\xf0\x9f\x98",
		"surrogate half": "\xed\xa0\x80", "overlong": "\xc0\xaf", "replacement character": "\ufffd",
		"end of Unicode": "\U0010ffff", "private use": "\U0010fe00\U0010feff\U000f0000", "line separators": "\u2028\u2029\r\n\v\f",
		"quotes": `"'\` + "`", "markup": "<script>&amp;</script>", "escapes": `\u0000\ufffd\x00%00`, "wildcards": "%_*?[a-z]",
		"glue": "a:b/c|d,e{f}g", "right to left": "\u202egpj.exe", "composed": "\u00e9e\u0301", "dots": "../../etc/passwd",
		"long": strings.Repeat("0123456789abcdef", 4096), "long and invalid": strings.Repeat("\xff", 16<<10),
		"SQL": `'; DROP TABLE grants; --`, "JSON": `{"id":"x"}`, "Redis": "\r\n$5\r\nFLUSH\r\n",
	}
}

// pairsOfOwners creates a grant of the client and a consent of the subject of
// every pair, and fails unless deleting by owner takes what is of that pair only.
func (e *env) pairsOfOwners(pairs map[[2]string]bool) {
	e.Helper()
	for pair := range pairs {
		g := NewGrant(pair[0], "grant of "+pair[1], e.clock.Now())
		g.ClientID = pair[1]
		e.ok(e.store.CreateGrant(e.ctx, g))
		e.ok(e.store.SaveConsent(e.ctx, NewConsent(pair[0], pair[1], pair[1], e.clock.Now())))
	}
	for pair := range pairs {
		_, err := e.store.Consent(e.ctx, pair[0], hash(pair[1]))
		e.ok(err)
		e.ok(e.store.DeleteConsents(e.ctx, pair[0], pair[1]))
		_, err = e.store.Consent(e.ctx, pair[0], hash(pair[1]))
		e.wantErr(err, storage.ErrNotFound)
		named, err := e.store.DeleteClient(e.ctx, pair[0], pair[1])
		e.ok(err)
		e.same(named, []string{"grant of " + pair[1]})
	}
}

var hostileTests = map[string]func(*env){
	"client ids and values": func(e *env) {
		for name, text := range hostileTexts() {
			c := NewClient(issuerA, text, e.clock.Now())
			c.Name, c.URI, c.Scope, c.SoftwareID, c.SoftwareVersion = text, text, text, text, text
			c.RedirectURIs = []string{text, "https://client.example.com/" + text}
			if err := e.store.CreateClient(e.ctx, c); err != nil {
				e.Fatalf("%s: %v", name, err)
			}
			e.wantClient(issuerA, text, c)
			e.ok(e.store.KeepClient(e.ctx, issuerA, text))
			c.ExpiresAt = time.Time{}
			e.wantClient(issuerA, text, c)
		}
	},
	"grant ids and values": func(e *env) {
		for name, text := range hostileTexts() {
			g := NewGrant(issuerA, text, e.clock.Now())
			g.Subject, g.ClientID, g.Resource, g.Code.RedirectURI = text, text, text, text
			g.Scopes, g.Identity.Groups, g.Identity.Login = []string{text}, []string{text}, text
			if err := e.store.CreateGrant(e.ctx, g); err != nil {
				e.Fatalf("%s: %v", name, err)
			}
			e.wantGrant(g)
			live, err := e.store.RedeemCode(e.ctx, issuerA, text, NewRedemption(text))
			e.ok(err)
			e.wantGrant(live)
			r, err := e.store.RotateRefresh(e.ctx, issuerA, text, rotation("first", text))
			e.ok(err)
			e.same(string(r.Nonce), text)
			e.wantGrant(r.Grant)
			e.ok(e.store.RevokeGrant(e.ctx, issuerA, text))
			e.wantGone(text, "first")
		}
	},
	// The state parameter is the client's: one that sends bytes that are no text
	// must find exactly those in the response, or it takes it for an attack.
	"pending values": func(e *env) {
		for name, text := range hostileTexts() {
			p := NewPending(issuerA, name, e.clock.Now())
			p.Request.State, p.Request.ClientID, p.Upstream, p.Verifier = text, text, text, text
			e.ok(e.store.CreatePending(e.ctx, p))
			got, err := e.store.TakePending(e.ctx, issuerA, hash(name))
			e.ok(err)
			e.same(got, p)
		}
	},
	"issuers": func(e *env) {
		for _, text := range hostileTexts() {
			e.ok(e.store.CreatePending(e.ctx, NewPending(text, "state", e.clock.Now())))
		}
		for _, text := range hostileTexts() {
			got, err := e.store.TakePending(e.ctx, text, hash("state"))
			e.ok(err)
			e.same(got.Issuer, text)
		}
	},
	"subjects": func(e *env) {
		for name, text := range hostileTexts() {
			a := newAccount(e.clock.Now())
			a.Subject, a.Identity.Name = text, name
			e.ok(e.store.SaveAccount(e.ctx, a))
		}
		for name, text := range hostileTexts() {
			got, err := e.store.Account(e.ctx, text)
			e.ok(err)
			e.same([]string{got.Subject, got.Identity.Name}, []string{text, name})
		}
	},
	// A client registers itself under a name full of wildcards and is deleted.
	// Nobody else's grants may go with it.
	"ids of clients that are deleted": func(e *env) {
		for name, text := range hostileTexts() {
			g := NewGrant(issuerA, text, e.clock.Now())
			g.ClientID, g.Subject = text, name
			e.ok(e.store.CreateGrant(e.ctx, g))
			e.ok(e.store.CreateClient(e.ctx, NewClient(issuerA, text, e.clock.Now())))
		}
		for _, text := range hostileTexts() {
			_, err := e.store.Client(e.ctx, issuerA, text)
			e.ok(err)
			named, err := e.store.DeleteClient(e.ctx, issuerA, text)
			e.ok(err)
			e.same(named, []string{text})
			e.wantNoGrant(issuerA, text)
		}
	},
	"subjects of sessions and consents": func(e *env) {
		for name, text := range hostileTexts() {
			s := NewSession(issuerA, name, e.clock.Now())
			s.Subject, s.Identity.Login, s.Identity.Groups = text, text, []string{text}
			e.ok(e.store.CreateSession(e.ctx, s))
			got, err := e.store.Session(e.ctx, issuerA, hash(name))
			e.ok(err)
			e.same(got, s)
			e.saveConsent(name, text)
		}
		for name, text := range hostileTexts() {
			e.wantConsent(name, text)
			e.ok(e.store.DeleteConsents(e.ctx, issuerA, text))
			e.wantNoConsent(issuerA, name)
		}
	},
	"issuers of sessions, consents and used ids": func(e *env) {
		now := e.clock.Now()
		for _, text := range hostileTexts() {
			e.ok(e.store.CreateSession(e.ctx, NewSession(text, "cookie", now)))
			e.ok(e.store.SaveConsent(e.ctx, NewConsent(text, "decision", "github:1", now)))
			e.ok(e.store.RememberOnce(e.ctx, text, hash("jti"), time.Hour))
		}
		for _, text := range hostileTexts() {
			s, err := e.store.Session(e.ctx, text, hash("cookie"))
			e.ok(err)
			c, err := e.store.Consent(e.ctx, text, hash("decision"))
			e.ok(err)
			e.same([]string{s.Issuer, c.Issuer}, []string{text, text})
			e.wantErr(e.store.RememberOnce(e.ctx, text, hash("jti"), time.Hour), storage.ErrExists)
			e.ok(e.store.DeleteSession(e.ctx, text, hash("cookie")))
			e.ok(e.store.DeleteConsents(e.ctx, text, "github:1"))
		}
	},
	"times": func(e *env) {
		for i, at := range []time.Time{{}, time.Unix(-1, 0), time.Unix(0, 1), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)} {
			c := NewClient(issuerA, fmt.Sprint(i), at.UTC())
			c.ExpiresAt = e.clock.Now().Add(time.Hour)
			e.ok(e.store.CreateClient(e.ctx, c))
			e.wantClient(issuerA, c.ID, c)
		}
	},
	// Whatever an engine glues issuer and id together with, somebody can put it
	// into an id: no two pairs may meet.
	"no separator makes two pairs collide": func(e *env) {
		pairs := map[[2]string]bool{}
		for _, glue := range []string{"", "\x00", ":", "/", "|", ",", "\n", "\x1f", " ", "}", ":4:", "\xff"} {
			for _, whole := range []string{"a" + glue + "b" + glue + "c", glue + "abc", "abc" + glue} {
				for cut := range len(whole) + 1 {
					pairs[[2]string{whole[:cut], whole[cut:]}] = true
				}
			}
		}
		for pair := range pairs {
			e.ok(e.store.CreateGrant(e.ctx, NewGrant(pair[0], pair[1], e.clock.Now())))
			e.ok(e.store.CreateClient(e.ctx, NewClient(pair[0], pair[1], e.clock.Now())))
		}
		for pair := range pairs {
			g, err := e.store.Grant(e.ctx, pair[0], pair[1])
			e.ok(err)
			c, err := e.store.Client(e.ctx, pair[0], pair[1])
			e.ok(err)
			e.same([]string{g.Issuer, g.ID, c.Issuer, c.ID}, []string{pair[0], pair[1], pair[0], pair[1]})
			e.ok(e.store.RevokeGrant(e.ctx, pair[0], pair[1]))
			_, err = e.store.Grant(e.ctx, pair[0], pair[1])
			e.wantErr(err, storage.ErrNotFound)
		}
		e.pairsOfOwners(pairs)
	},
	"similar ids are different": func(e *env) {
		e.createLive("Grant")
		for _, id := range []string{"grant", "Grant ", " Grant", "Gran", "Grant\x00", "GRANT", "Grant*", "Gran\u0074\u0301"} {
			e.wantNoGrant(issuerA, id)
		}
		for _, issuer := range []string{"", issuerA + "/", strings.ToUpper(issuerA), "a.example.com", issuerA + ":443", issuerA[:len(issuerA)-1]} {
			e.wantNoGrant(issuer, "Grant")
		}
	},
}
