// SPDX-License-Identifier: Apache-2.0

package upstreamtest

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

var authURLTests = group{
	"Parameters":          testParameters,
	"VerifierStaysHere":   testVerifierStaysHere,
	"AskAccount":          testAskAccount,
	"ScopesAreACopy":      testScopesAreACopy,
	"ProviderDown":        testAuthURLDown,
	"RecoversFromTrouble": testAuthURLRecovers,
}

// testParameters: what RFC 6749 §4.1.1 and RFC 7636 §4.3 ask for, once each.
func testParameters(e *env) {
	a := e.begin(e.newRequest())
	sum := sha256.Sum256([]byte(a.request.Verifier))
	want := map[string]string{
		"response_type": "code", "state": a.request.State, "redirect_uri": e.RedirectURI,
		"code_challenge": base64.RawURLEncoding.EncodeToString(sum[:]), "code_challenge_method": "S256",
	}
	q := a.url.Query()
	for name, value := range want {
		if diff := cmp.Diff([]string{value}, q[name]); diff != "" {
			e.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name, values := range q {
		if len(values) != 1 {
			e.Errorf("%s %d times", name, len(values))
		}
	}
	if q.Get("client_id") == "" || a.url.Fragment != "" || a.url.User != nil {
		e.Errorf("no address to send a browser to: %s", a.url)
	}
	if scope := strings.Fields(q.Get("scope")); !slices.Equal(scope, e.redirector().Scopes()) {
		e.Errorf("asks for %q, and says %q", scope, e.redirector().Scopes())
	}
}

// testVerifierStaysHere: the verifier is what a thief of the code does not have.
func testVerifierStaysHere(e *env) {
	a := e.begin(e.newRequest())
	if strings.Contains(a.url.String(), a.request.Verifier) {
		e.Error("the URL has the verifier in it")
	}
	if e.Secrets != nil {
		for _, s := range e.Secrets() {
			if strings.Contains(a.url.String(), s) {
				e.Error("the URL has a secret in it")
			}
		}
	}
	other := e.begin(e.newRequest())
	for _, name := range []string{"state", "code_challenge"} {
		if other.url.Query().Get(name) == a.url.Query().Get(name) {
			e.Errorf("two sign-ins have the same %s", name)
		}
	}
	if n := a.url.Query().Get("nonce"); n != "" && n == other.url.Query().Get("nonce") {
		e.Error("two sign-ins have the same nonce")
	}
}

func testAskAccount(e *env) {
	r := e.newRequest()
	plain := e.begin(r).url.Query().Get("prompt")
	r.AskAccount = true
	asks := e.begin(r).url.Query().Get("prompt")
	if strings.Contains(plain, "select_account") || strings.Contains(plain, "login") {
		e.Errorf("asks for an account unasked: prompt %q", plain)
	}
	if !strings.Contains(asks, "select_account") && !strings.Contains(asks, "login") {
		e.Errorf("lets nobody choose an account: prompt %q", asks)
	}
}

func testScopesAreACopy(e *env) {
	for _, s := range [][]string{e.redirector().Scopes(), e.redirector().Scopes()} {
		if slices.Contains(s, "changed") {
			e.Fatal("who changes the scopes changes everybody's")
		}
		for i := range s {
			s[i] = "changed"
		}
	}
}

// testAuthURLDown: a provider that has to be asked for its endpoints is down.
func testAuthURLDown(e *env) {
	e.Provider.Stop()
	began := time.Now()
	to, err := e.redirector().AuthCodeURL(e.Context(), e.newRequest())
	e.checkError(err)
	if err != nil {
		e.refused(err, upstream.ReasonUnavailable)
		if to != "" {
			e.Errorf("the error comes with the address %s", to)
		}
	}
	if took := time.Since(began); took > patience {
		e.Errorf("took %s", took)
	}
}

// testAuthURLRecovers: a provider that was in trouble when it was first asked must
// not be given up for good.
func testAuthURLRecovers(e *env) {
	e.Provider.Break("", answer(500, "text/html", inBody))
	_, err := e.redirector().AuthCodeURL(e.Context(), e.newRequest())
	e.checkError(err)
	if err != nil {
		e.refused(err, upstream.ReasonUnavailable)
	}
	e.Provider.Heal()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if _, err = e.redirector().AuthCodeURL(e.Context(), e.newRequest()); err == nil {
			e.signIn(Alice)
			return
		}
		if time.Since(began) > patience {
			e.Fatalf("%s after the trouble: %v", patience, err)
		}
	}
}

// patience is more than any call may take that has no reason to wait, on a machine
// that is busy. It is less than the timeouts of the upstreams.
const patience = 8 * time.Second
