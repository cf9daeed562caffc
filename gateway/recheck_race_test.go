// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// Everything at once: requests, checks, sign-ins, revocations, reloads, changes of
// keys and evictions, of few people so that they meet. When it is quiet again,
// everybody is what the store says, and whoever is out is out. Run with -race.
func TestChecksUnderEverything(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const people, grants, workers, rounds = 8, 24, 64, 40
		var all []identity.Identity
		for i := range people {
			all = append(all, member(i+1))
		}
		l := newForwardingLab(t, all...)
		raws := make([]string, grants)
		for i := range raws {
			raws[i] = l.grant(fmt.Sprint("g", i), all[i%people])
		}
		l.idp.does(func(_ context.Context, last identity.Identity, _ *upstream.Token, save func(*upstream.Token) error) (identity.Identity, error) {
			time.Sleep(time.Duration(rand.IntN(2000)) * time.Millisecond)
			switch rand.IntN(8) {
			case 0:
				return last, upstream.Refuse(upstream.ReasonUnavailable, "x")
			case 1:
				return last, upstream.Refuse(upstream.ReasonSignInNeeded, "x")
			case 2:
				if err := save(&upstream.Token{Access: "renewed-" + last.ID}); err != nil {
					return last, upstream.Refuse(upstream.ReasonUnavailable, "save: %w", err)
				}
			case 3:
				last.Login = fmt.Sprint("login", rand.IntN(1000))
			}
			if last.ID == "1" {
				last.Groups = nil // removed
			}
			if last.ID == "2" {
				return last, upstream.Refuse(upstream.ReasonRevoked, "x")
			}
			return last, nil
		})
		var done sync.WaitGroup
		for worker := range workers {
			done.Go(func() {
				for round := range rounds {
					l.disturb(t, worker, round, all, raws)
					time.Sleep(time.Duration(rand.IntN(60)) * time.Second)
				}
			})
		}
		done.Wait()
		l.idp.says(nil)
		l.idp.is(person("1"))
		l.idp.lose("github:2")
		l.rules(labInterval, labOutage)
		time.Sleep(2 * labInterval)
		for i, raw := range raws {
			status, _ := l.sees(raw)
			switch out := i%people < 2; {
			case out && status != http.StatusUnauthorized && status != http.StatusForbidden:
				t.Errorf("%s is out, and gets %d", all[i%people].Subject(), status)
			case !out && status != http.StatusOK && l.mem.hasGrant(fmt.Sprint("g", i)):
				t.Errorf("%s is in, and gets %d", all[i%people].Subject(), status)
			}
		}
		for _, p := range all {
			live, kept := l.st.live.account(p.Subject()), l.mem.account(p.Subject())
			if live != nil && !sameFacts(*live.facts.Load(), kept.Identity) {
				t.Errorf("%s: shown %+v, stored %+v", p.Subject(), live.facts.Load(), kept.Identity)
			}
		}
		if n := l.inFlight(); n != 0 {
			t.Errorf("%d requests in flight", n)
		}
	})
}

// disturb does one of the things that happen to a gateway.
func (l *lab) disturb(t *testing.T, worker, round int, all []identity.Identity, raws []string) {
	t.Helper()
	who := rand.IntN(len(all))
	switch n := worker % 16; {
	case n == 0 && round%8 == 0:
		l.rules(labInterval, labOutage)
	case n == 1 && round%8 == 0:
		l.st.Rejudge(l.policy)
	case n == 2:
		evictAll(l.st)
	case n == 3 && who > 1:
		l.keep(all[who], &upstream.Token{Access: "access-of-" + all[who].ID})
	case n == 4 && round == rounds4:
		if err := l.st.revokeGrant(t.Context(), testIssuer, fmt.Sprint("g", len(raws)-1)); err != nil {
			t.Error(err)
		}
	case n == 5 && round == rounds4:
		l.st.SetRing(token.NewRing(token.Key{1}, token.Key{2}))
	default:
		i := rand.IntN(len(raws))
		status, got := l.sees(raws[i])
		id := all[i%len(all)].ID
		if status == http.StatusOK && (len(got) != 1 || got[0] != "Bearer access-of-"+id && got[0] != "Bearer renewed-"+id) {
			t.Errorf("the backend got %v in the name of %s", got, id)
		}
	}
}

const rounds4 = 4

// A sign-in and a check end at the same time, in every order the scheduler finds: the
// sign-in's token is never lost, and its facts are what is shown.
func TestSignInRacingWithACheck(t *testing.T) {
	t.Parallel()
	for range 200 {
		l := newLab(t, member(1))
		raw := l.grant("g1", member(1))
		l.use(raw)
		old := l.mem.account("github:1")
		old.CheckedAt = time.Now().Add(-labInterval)
		if err := l.mem.SaveAccount(t.Context(), &old); err != nil {
			t.Fatal(err)
		}
		l.st.showAccount(&old)
		fresh := member(1)
		fresh.Login = "fresh"
		var done sync.WaitGroup
		done.Go(func() {
			e, _ := l.st.checks.lineOf("github").ask("github:1", wantCheck, true)
			<-e.done
		})
		done.Go(func() { l.keep(fresh, &upstream.Token{Access: "fresh"}) })
		done.Wait()
		a := l.mem.account("github:1")
		if tok := l.st.openToken(&a); tok == nil || tok.Access != "fresh" {
			t.Fatalf("kept %+v", a)
		}
		if got := l.st.live.account("github:1").facts.Load(); got.Login != a.Identity.Login {
			t.Fatalf("shown %q, stored %q", got.Login, a.Identity.Login)
		}
		_ = l.st.Close()
	}
}

// What a check finds just after a request was admitted, and just before it can be
// found among the streams: it is refused all the same.
func TestNewFactsBetweenVerdictAndEntry(t *testing.T) {
	t.Parallel()
	l := newLab(t, member(1))
	raw := l.grant("g1", member(1))
	tok, err := l.st.admit(t.Context(), raw, testIssuer, testIssuer+"/mcp", l.st.now())
	if err != nil {
		t.Fatal(err)
	}
	v := tok.viewFor(l.guard.cfg.Policy, l.guard.log)
	l.st.live.showSaved(&storage.Account{Subject: "github:1", Identity: person("1"), CheckedAt: time.Now(), Revision: 9})
	rec := httptest.NewRecorder()
	a := admission{matched: "/mcp", tok: tok, view: v, judged: l.st.judge.Load()}
	err = l.guard.forward(rec, l.request(t.Context(), raw), a, func(http.ResponseWriter, *http.Request, *Admitted) error {
		t.Error("admitted")
		return nil
	})
	if err != nil || rec.Code != http.StatusUnauthorized {
		t.Errorf("%d %v", rec.Code, err)
	}
}

// An account is checked while the store says that its grant was revoked elsewhere:
// the errors of one do not leak into the other.
func TestCheckOfAnAccountWithoutGrants(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1))
		raw := l.grant("g1", member(1))
		l.want(raw, http.StatusOK, "at first")
		if err := l.st.revokeGrant(t.Context(), testIssuer, "g1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * labInterval)
		l.want(raw, http.StatusUnauthorized, "revoked")
		if l.idp.questions() != 0 {
			t.Error("somebody without grants was asked about")
		}
		if _, err := l.st.currentAccount(t.Context(), "github:99"); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("an account that is not there: %v", err)
		}
	})
}
