// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/gateway/web"
	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// otherUpstream is a scripted one of another kind.
type otherUpstream struct {
	*scriptedUpstream
	kind, label string
}

func (u *otherUpstream) Kind() string  { return u.kind }
func (u *otherUpstream) Label() string { return u.label }

// several is a gateway with GitHub, an OIDC provider and a list of local users. The
// same person, by every attribute, is at each: same login, same address, same groups,
// and an id that looks the same.
type several struct {
	*world
	corp *otherUpstream
}

func severalUpstreams(t *testing.T, allow ...string) *several {
	t.Helper()
	twin := octocat()
	twin.Upstream, twin.Kind = "corp", identity.KindOIDC
	corp := &otherUpstream{&scriptedUpstream{name: "corp", identity: twin}, identity.KindOIDC, "Example Corp"}
	w := newWorld(t, func(c *gateway.Config) {
		c.Upstreams = append(c.Upstreams, corp, &scriptedPasswords{})
		c.Resources[0].Policy = rulesOf(t, c.Upstreams, allow...)
	})
	return &several{world: w, corp: corp}
}

// rulesOf is a policy for these upstreams.
func rulesOf(t *testing.T, upstreams []upstream.Upstream, list ...string) *policy.Policy {
	t.Helper()
	var refs []policy.Ref
	for _, u := range upstreams {
		refs = append(refs, policy.Ref{Name: u.Name(), Kind: u.Kind()})
	}
	var parsed []policy.Rule
	for _, s := range list {
		r, err := policy.ParseRule(s)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, r)
	}
	p, err := policy.New(parsed, refs)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// signInAt goes through consent and one of the upstreams. At the local list one is
// called what the others have for an id.
func (b *browser) signInAt(name string, q url.Values, override ...string) *http.Response {
	b.w.t.Helper()
	action, fields := b.open(q)
	loc := location(b.w.t, b.approve(action, with(fields, append([]string{"upstream", name}, override...)...)))
	if name == "local" {
		action, fields = form(b.w.t, wantPage(b.w.t, b.get(loc.RequestURI()), http.StatusOK, ""))
		return b.submit(action, with(fields, "username", octocat().ID, "password", "x"))
	}
	return b.get(oauth.PathCallback + name + "?code=upstream-code&state=" + loc.Query().Get("state"))
}

// offered are the ways to sign in that a page has, in order.
func offered(page string) []string {
	var names []string
	for _, name := range []string{"github", "corp", "local"} {
		if strings.Contains(page, `name="upstream" value="`+name+`"`) {
			names = append(names, name)
		}
	}
	return names
}

// Who could not be allowed after all is not sent to sign in first.
func TestOnlyWaysThatLeadAreOffered(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		allow  []string
		want   []string
		button string
	}{
		"any":                {[]string{"any"}, []string{"github", "corp", "local"}, "Continue"},
		"rules of two":       {[]string{"github/user:octocat", "local/group:family"}, []string{"github", "local"}, "Continue"},
		"rules of one":       {[]string{"corp/group:ops", "corp/email:a@b.example"}, []string{"corp"}, "Continue with <bdi>Example Corp</bdi>"},
		"any of one":         {[]string{"github/any"}, []string{"github"}, "Continue with <bdi>GitHub</bdi>"},
		"any besides others": {[]string{"github/user:octocat", "any"}, []string{"github", "corp", "local"}, "Continue"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := severalUpstreams(t, tc.allow...)
			page := wantPage(t, w.browser().get(oauth.PathAuthorize+"?"+authorizeQuery(w.register(loopbackURI), loopbackURI).Encode()), http.StatusOK, "")
			if diff := cmp.Diff(tc.want, offered(page)); diff != "" {
				t.Errorf("offered (-want +got):\n%s", diff)
			}
			if !strings.Contains(page, `value="approve">`+tc.button+"</button>") {
				t.Errorf("no button %q in:\n%s", tc.button, page)
			}
		})
	}
}

// Each resource has rules of its own, and so has its page.
func TestEveryResourceOffersItsOwn(t *testing.T) {
	t.Parallel()
	w := severalUpstreams(t, "github/any")
	w.config.Resources = append(w.config.Resources, &gateway.Resource{
		Path: "/ops", Scopes: []string{"mcp"}, Policy: rulesOf(t, w.config.Upstreams, "corp/any", "local/any"),
	})
	w.reload()
	id := w.register(loopbackURI)
	for path, want := range map[string][]string{"/mcp": {"github"}, "/ops": {"corp", "local"}} {
		page := body(t, w.browser().get(oauth.PathAuthorize+"?"+authorizeQuery(id, loopbackURI, "resource", issuer+path).Encode()))
		if diff := cmp.Diff(want, offered(page)); diff != "" {
			t.Errorf("%s offers (-want +got):\n%s", path, diff)
		}
	}
}

// The choice is checked and not only left out: somebody edits the form, or the rules
// changed while the page was open.
func TestChoosingAWayThatLeadsNowhere(t *testing.T) {
	t.Parallel()
	for name, choose := range map[string]func(*testing.T, *several) *http.Response{
		"edited form": func(t *testing.T, w *several) *http.Response {
			b := w.browser()
			action, fields := b.open(authorizeQuery(w.register(loopbackURI), loopbackURI))
			return b.approve(action, with(fields, "upstream", "corp"))
		},
		"rules changed": func(t *testing.T, w *several) *http.Response {
			w.config.Resources[0].Policy = rulesOf(t, w.config.Upstreams, "any")
			w.reload()
			b := w.browser()
			action, fields := b.open(authorizeQuery(w.register(loopbackURI), loopbackURI))
			w.config.Resources[0].Policy = rulesOf(t, w.config.Upstreams, "github/any")
			w.reload()
			return b.approve(action, with(fields, "upstream", "corp"))
		},
		"signed in there, and not any more": func(t *testing.T, w *several) *http.Response {
			w.config.Resources[0].Policy = rulesOf(t, w.config.Upstreams, "any")
			w.reload()
			b := w.browser()
			wantCode(t, b.signInAt("corp", authorizeQuery(w.register(loopbackURI), loopbackURI)))
			action, fields := wantAsked(t, b.get(oauth.PathAuthorize+"?"+authorizeQuery(w.register(loopbackURI), loopbackURI).Encode()), "octocat")
			w.config.Resources[0].Policy = rulesOf(t, w.config.Upstreams, "github/any")
			w.reload()
			delete(b.cookies, sessionCookie)
			return b.approve(action, fields) // "go on as octocat", of corp
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := severalUpstreams(t, "github/any")
			rec := w.observed()
			begun := 0
			if name == "signed in there, and not any more" {
				begun = 1 // the sign-in before
			}
			page := wantPage(t, choose(t, w), http.StatusForbidden, "upstream_not_allowed")
			if !strings.Contains(page, "Example Corp") || !strings.Contains(page, "choose another way") {
				t.Errorf("the page does not say what is wrong:\n%s", page)
			}
			if n := rec.count("CreatePending"); n != begun {
				t.Errorf("%d sign-ins were begun, want %d", n, begun)
			}
		})
	}
}

// Without rules for any of the upstreams there are, two configurations got mixed up.
// Everything is offered then, because an empty page helps nobody, and nobody is let in.
func TestRulesOfOtherUpstreams(t *testing.T) {
	t.Parallel()
	w := severalUpstreams(t, "any")
	w.config.Resources[0].Policy = rulesOf(t, []upstream.Upstream{&scriptedUpstream{name: "ghe"}}, "any")
	w.reload()
	b := w.browser()
	q := authorizeQuery(w.register(loopbackURI), loopbackURI)
	if got := offered(wantPage(t, b.get(oauth.PathAuthorize+"?"+q.Encode()), http.StatusOK, "")); len(got) != 3 {
		t.Errorf("offered %q", got)
	}
	for _, name := range []string{"github", "corp", "local"} {
		wantPage(t, b.signInAt(name, q), http.StatusForbidden, "not_allowed")
	}
}

// A backend that gets the user's token cannot be reached by a user who has none.
func TestNoTokenNoWay(t *testing.T) {
	t.Parallel()
	w := severalUpstreams(t, "any")
	w.config.Resources[0].ForwardUpstreamToken = true
	w.reload()
	b := w.browser()
	action, fields := b.open(authorizeQuery(w.register(loopbackURI), loopbackURI))
	page := body(t, b.get(oauth.PathAuthorize+"?"+authorizeQuery(w.register(loopbackURI), loopbackURI).Encode()))
	if diff := cmp.Diff([]string{"github", "corp"}, offered(page)); diff != "" {
		t.Errorf("offered (-want +got):\n%s", diff)
	}
	wantPage(t, b.approve(action, with(fields, "upstream", "local")), http.StatusForbidden, "upstream_not_allowed")
}

// twin is one of the three people who look alike, signed in.
type twin struct {
	upstream, token, session string
	browser                  *browser
}

// twins signs all three in, for the same client.
func (w *several) twins(clientID string) (people []twin, subjects []string) {
	w.t.Helper()
	for _, name := range []string{"github", "corp", "local"} {
		b := w.browser()
		code := wantCode(w.t, b.signInAt(name, authorizeQuery(clientID, loopbackURI)))
		tok := w.redeem(codeForm(clientID, code)).AccessToken
		seen := make(chan string, 1)
		w.backend = func(rw http.ResponseWriter, r *http.Request) {
			seen <- r.Header.Get("X-Forwarded-User")
			rw.Header().Set("Mcp-Session-Id", backendSession)
		}
		people = append(people, twin{name, tok, w.openSession(tok), b})
		subjects = append(subjects, <-seen)
	}
	return people, subjects
}

// Attack: mallory gets herself an account at the second provider that has the login,
// the verified address and even the id of octocat at the first. She is somebody else
// all the same: to the backend, to sessions, to everything that is kept.
func TestAttackTwinAtAnotherUpstream(t *testing.T) {
	t.Parallel()
	w := severalUpstreams(t, "any")
	people, subjects := w.twins(w.register(loopbackURI))
	want := []string{"github:583231", "oidc:corp:583231", "local:583231"}
	if diff := cmp.Diff(want, subjects); diff != "" {
		t.Errorf("X-Forwarded-User (-want +got):\n%s", diff)
	}
	w.backend = func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusOK) }
	for _, owner := range people {
		for _, other := range people {
			status := http.StatusNotFound // which makes the client begin a session of its own
			if owner.upstream == other.upstream {
				status = http.StatusOK
			}
			if resp := w.call(other.token, "Mcp-Session-Id", owner.session); resp.StatusCode != status {
				t.Errorf("%s in the session of %s: %d, want %d", other.upstream, owner.upstream, resp.StatusCode, status)
			}
		}
	}
	for _, subject := range want {
		if a, err := w.store.Account(t.Context(), subject); err != nil || a.Identity.Subject() != subject {
			t.Errorf("account %s: %+v, %v", subject, a, err)
		}
	}
}

// Attack: a rule about one upstream names what the twin at the others has too.
func TestAttackRuleOfAnotherUpstream(t *testing.T) {
	t.Parallel()
	for rule, allowed := range map[string]string{
		"github/user:octocat":                 "github",
		"github/id:583231":                    "github",
		"github/org:acme":                     "github",
		"github/email:octocat@github.example": "github",
		"github/domain:github.example":        "github",
		"corp/email:octocat@github.example":   "corp",
		"corp/group:acme":                     "corp",
		"local/local:583231":                  "local",
		"github/any":                          "github",
		"corp/any":                            "corp",
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			w := severalUpstreams(t, rule)
			// A second rule, of somebody who does not exist, makes every way lead somewhere.
			w.config.Resources[0].Policy = rulesOf(t, w.config.Upstreams, rule, "github/id:1", "corp/group:none", "local/local:none")
			w.reload()
			rec := w.observed()
			q := authorizeQuery(w.register(loopbackURI), loopbackURI)
			for _, name := range []string{"github", "corp", "local"} {
				resp := w.browser().signInAt(name, q)
				if name == allowed {
					wantCode(t, resp)
				} else {
					wantPage(t, resp, http.StatusForbidden, "not_allowed")
				}
			}
			if n := rec.count("CreateGrant"); n != 1 {
				t.Errorf("%d grants", n)
			}
		})
	}
}

// Attack: octocat agreed to a website for good. His twin is asked; and what the twin
// agrees to is not octocat's.
func TestAttackRememberedConsentOfATwin(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{{"github", "corp"}, {"corp", "github"}, {"github", "local"}, {"local", "corp"}} {
		t.Run(pair[0]+" "+pair[1], func(t *testing.T) {
			t.Parallel()
			w := severalUpstreams(t, "any")
			q := authorizeQuery(w.register(webURI), webURI)
			first, second := w.browser(), w.browser()
			wantCode(t, first.signInAt(pair[0], q, "remember", web.RememberYes))
			wantCode(t, first.fromClient(q)) // not asked again
			wantCode(t, second.signInAt(pair[1], q))
			name := "octocat"
			if pair[1] == "local" {
				name = octocat().ID
			}
			wantAsked(t, second.fromClient(q), name)
		})
	}
}

// Attack: signed in at one upstream, mallory does not pass for who is signed in at
// another one, at a resource that only the latter may use.
func TestAttackBrowserSessionOfATwin(t *testing.T) {
	t.Parallel()
	w := severalUpstreams(t, "any")
	w.config.Resources = append(w.config.Resources, &gateway.Resource{
		Path: "/ops", Scopes: []string{"mcp"}, Policy: rulesOf(t, w.config.Upstreams, "github/user:octocat"),
	})
	w.reload()
	id := w.register(loopbackURI)
	ops := authorizeQuery(id, loopbackURI, "resource", issuer+"/ops")
	for _, name := range []string{"github", "corp", "local"} {
		b := w.browser()
		wantCode(t, b.signInAt(name, authorizeQuery(id, loopbackURI)))
		page := body(t, b.get(oauth.PathAuthorize+"?"+ops.Encode()))
		if got := strings.Contains(page, web.StaySignedIn); got != (name == "github") {
			t.Errorf("signed in at %s, and may go on to /ops: %v", name, got)
		}
		if got := offered(page); !slices.Equal(got, []string{"github"}) {
			t.Errorf("signed in at %s, offered %q", name, got)
		}
		action, fields := form(t, page)
		resp := b.approve(action, with(fields, "upstream", web.StaySignedIn))
		if name != "github" && resp.StatusCode == http.StatusSeeOther && strings.Contains(resp.Header.Get("Location"), "127.0.0.1") {
			t.Errorf("the twin at %s got a code: %s", name, resp.Header.Get("Location"))
		}
	}
}

// Attack, with a mistake of the operator: the OIDC provider gets the name that GitHub
// had. Nobody becomes somebody else by that, not even with the same id: old grants and
// sessions are worth nothing, new subjects are new.
func TestAttackNameOfAnUpstreamTakenOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, anybody(t))
	clientID, tok := w.tokens()
	q := authorizeQuery(w.register(webURI), webURI)
	b := w.signedIn()
	b.remembers(q)
	wantCode(t, b.fromClient(q))
	twin := octocat()
	twin.Kind = identity.KindOIDC
	w.config.Upstreams = []upstream.Upstream{&otherUpstream{&scriptedUpstream{name: "github", identity: twin}, identity.KindOIDC, "SSO"}}
	w.config.Resources[0].Policy = rulesOf(t, w.config.Upstreams, "any")
	w.reload()
	w.wantCall("/mcp", tok.AccessToken, http.StatusForbidden)
	wantAsked(t, b.fromClient(q), "")
	seen := make(chan string, 1)
	w.backend = func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header.Get("X-Forwarded-User") }
	taker := w.browser()
	code := wantCode(t, taker.signInAt("github", authorizeQuery(clientID, loopbackURI)))
	w.wantCall("/mcp", w.redeem(codeForm(clientID, code)).AccessToken, http.StatusOK)
	if got := <-seen; got != "oidc:github:583231" {
		t.Errorf("the backend sees %q", got)
	}
	wantAsked(t, taker.fromClient(q), "octocat") // what octocat of GitHub agreed to is his
}

// Attack, mix-up (RFC 9700 §4.4): the answer of one upstream arrives at the address of
// another. It is refused there, and still good where it belongs.
func TestAttackAnswerAtTheAddressOfAnother(t *testing.T) {
	t.Parallel()
	w := severalUpstreams(t, "any")
	for _, to := range []string{"corp", "local"} {
		b := w.browser()
		action, fields := b.open(authorizeQuery(w.register(loopbackURI), loopbackURI))
		state := upstreamState(t, b.approve(action, with(fields, "upstream", "github")))
		wantPage(t, b.get(fmt.Sprintf("%s%s?code=stolen&state=%s", oauth.PathCallback, to, state)), http.StatusBadRequest, "flow_expired")
		w.corp.mu.Lock()
		if w.corp.calls != 0 {
			t.Error("the other upstream was given the code")
		}
		w.corp.mu.Unlock()
		wantCode(t, b.callback(state))
	}
}
