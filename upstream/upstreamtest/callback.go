// SPDX-License-Identifier: Apache-2.0

package upstreamtest

import (
	"maps"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

var callbackTests = group{
	"Denied":               testDenied,
	"Errors":               testErrorCallbacks,
	"Malformed":            testMalformedCallbacks,
	"GarbageCode":          testGarbageCode,
	"CodeOfAnotherAttempt": testCodeOfAnotherAttempt,
	"Replay":               testReplay,
	"OtherRedirectURI":     testOtherRedirectURI,
}

func testDenied(e *env) {
	e.need("Deny", e.Deny != nil)
	a := e.begin(e.newRequest())
	a.callback = e.Deny(e.T, a.url.String(), Alice)
	_, err := e.identify(e.Context(), a)
	e.refused(err, upstream.ReasonDenied)
}

// testErrorCallbacks: the codes of RFC 6749 §4.1.2.1, and what an attacker writes
// into them. No request is made for any of them.
func testErrorCallbacks(e *env) {
	a := e.begin(e.newRequest())
	any := []upstream.Reason{
		upstream.ReasonDenied, upstream.ReasonInvalid, upstream.ReasonMisconfigured,
		upstream.ReasonUnavailable, upstream.ReasonInsufficientScope,
	}
	for code, reasons := range map[string][]upstream.Reason{
		"access_denied":               {upstream.ReasonDenied},
		"server_error":                {upstream.ReasonUnavailable},
		"temporarily_unavailable":     {upstream.ReasonUnavailable},
		"unauthorized_client":         {upstream.ReasonMisconfigured},
		"invalid_scope":               {upstream.ReasonMisconfigured},
		"":                            any,
		"something_new":               any,
		"two\r\nlines\x00":            any,
		strings.Repeat("long", 1<<18): any,
		"\xff\xfe":                    any,
	} {
		a.callback = url.Values{"state": {a.request.State}, "error": {code}, "error_description": {"because of \r\n" + inBody}}
		before := e.asked()
		_, err := e.identify(e.Context(), a)
		e.refused(err, reasons...)
		if e.asked() != before {
			e.Errorf("error %.40q: asked the provider about an error", code)
		}
	}
}

// testMalformedCallbacks: what the provider never sends. No request is made, so
// that a code in it stays unused.
func testMalformedCallbacks(e *env) {
	for name, change := range map[string]func(url.Values){
		"no code":              func(v url.Values) { v.Del("code") },
		"empty code":           func(v url.Values) { v.Set("code", "") },
		"two codes":            func(v url.Values) { v.Add("code", "other") },
		"the same code twice":  func(v url.Values) { v.Add("code", v.Get("code")) },
		"two states":           func(v url.Values) { v.Add("state", "other") },
		"two errors":           func(v url.Values) { v.Del("code"); v["error"] = []string{"access_denied", "server_error"} },
		"code and error":       func(v url.Values) { v.Set("error", "access_denied") },
		"code and empty error": func(v url.Values) { v.Set("error", "") },
		"issuer of another":    func(v url.Values) { v.Set("iss", "https://attacker.example") },
		"empty issuer":         func(v url.Values) { v.Set("iss", "") },
		"two issuers":          func(v url.Values) { v["iss"] = []string{v.Get("iss"), v.Get("iss")} },
		"code of 1 MiB":        func(v url.Values) { v.Set("code", strings.Repeat("c", 1<<20)) },
		"nothing":              func(v url.Values) { clear(v) },
	} {
		e.Run(name, func(t *testing.T) {
			e := e.on(t)
			a := e.approved(Alice)
			a.callback = maps.Clone(a.callback)
			change(a.callback)
			before := e.asked()
			_, err := e.identify(e.Context(), a)
			e.refused(err, upstream.ReasonInvalid)
			if e.asked() != before {
				e.Error("asked the provider")
			}
		})
	}
}

func testGarbageCode(e *env) {
	for _, code := range []string{
		"x", "a b", "a\x00b", "a\r\nX-Injected: 1", "\xff\xfe", "é", "%00", "../../token", "a&grant_type=password", strings.Repeat("c", 1000),
	} {
		a := e.begin(e.newRequest())
		a.callback = url.Values{"state": {a.request.State}, "code": {code}}
		in, err := e.redirector().Identify(e.Context(), a.callback, a.request.Verifier, a.request.RedirectURI)
		e.checkError(err)
		if in != nil {
			e.Fatalf("code %q is worth %+v", code, in.Identity)
		}
		e.refused(err, upstream.ReasonInvalid)
	}
}

// testCodeOfAnotherAttempt: mallory slips the code of her own sign-in into
// somebody's callback, or has stolen theirs. The verifier does not fit.
func testCodeOfAnotherAttempt(e *env) {
	mine, theirs := e.begin(e.newRequest()), e.approved(Bob)
	mine.callback = url.Values{"state": {mine.request.State}, "code": {theirs.callback.Get("code")}}
	_, err := e.identify(e.Context(), mine)
	e.refused(err, upstream.ReasonInvalid)
}

func testReplay(e *env) {
	a := e.approved(Alice)
	if _, err := e.identify(e.Context(), a); err != nil {
		e.Fatalf("the first time: %v", err)
	}
	_, err := e.identify(e.Context(), a)
	e.refused(err, upstream.ReasonInvalid)
}

// testOtherRedirectURI: the code was sent to another address (RFC 6749 §4.1.3).
func testOtherRedirectURI(e *env) {
	a := e.approved(Alice)
	a.request.RedirectURI += "/other"
	_, err := e.identify(e.Context(), a)
	e.refused(err, upstream.ReasonInvalid, upstream.ReasonMisconfigured)
}
