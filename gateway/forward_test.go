// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// forwarding makes the lab's resource forward tokens.
func newForwardingLab(t *testing.T, people ...identity.Identity) *lab {
	t.Helper()
	l := newLab(t, people...)
	l.guard.cfg.ForwardUpstreamToken = true
	return l
}

// keep stores the person's newest token.
func (l *lab) keep(id identity.Identity, tok *upstream.Token) {
	l.t.Helper()
	if err := l.st.saveAccount(context.Background(), nil, id, tok); err != nil {
		l.t.Fatal(err)
	}
}

// sees sends a request and returns its status and the Authorization the backend got.
func (l *lab) sees(raw string) (status int, authorization []string) {
	l.t.Helper()
	rec := httptest.NewRecorder()
	err := l.guard.Serve(rec, l.request(l.t.Context(), raw), "/mcp", func(w http.ResponseWriter, r *http.Request, _ *Admitted) error {
		authorization = r.Header["Authorization"]
		w.WriteHeader(http.StatusOK)
		return nil
	})
	if err != nil {
		return http.StatusServiceUnavailable, nil
	}
	return rec.Code, authorization
}

func (l *lab) wantForwarded(raw, access, when string) {
	l.t.Helper()
	if status, got := l.sees(raw); status != http.StatusOK || len(got) != 1 || got[0] != "Bearer "+access {
		l.t.Errorf("%s: %d, the backend got %v, want %q", when, status, got, access)
	}
}

func (l *lab) wantRefused(raw string, status int, when string) {
	l.t.Helper()
	if got, authorization := l.sees(raw); got != status || authorization != nil {
		l.t.Errorf("%s: %d, the backend got %v, want %d", when, got, authorization, status)
	}
}

// The option is switched on later. Whoever agreed before was not told that the server
// gets their token, although it is there, kept for checks: they are asked first.
func TestTokensOfThoseWhoWereNotToldStayHere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1))
		before := l.grant("g1", member(1))
		l.wantRefused(before, http.StatusOK, "not forwarding")
		l.guard.cfg.ForwardUpstreamToken = true
		l.wantRefused(before, http.StatusUnauthorized, "agreed before the option")
		l.wantForwarded(l.grant("g2", member(1)), "access-of-1", "agreed since")
		// Nor does a refresh go on with such a grant: the client would come back with a
		// fresh token and be refused again, for ever.
		s := &Server{st: l.st, byResource: map[string]*Guard{testIssuer + "/mcp": l.guard}, log: slog.New(slog.DiscardHandler)}
		for _, told := range []bool{false, true} {
			g := &storage.Grant{Subject: member(1).Subject(), Resource: testIssuer + "/mcp", Identity: member(1), CreatedAt: time.Now(), ForwardsToken: told}
			if err := s.stillAllowed(t.Context(), g); (err == nil) != told {
				t.Errorf("refresh of a grant whose person was told %v: %v", told, err)
			}
		}
		l.guard.cfg.ForwardUpstreamToken = false
		l.wantRefused(before, http.StatusOK, "switched off again")
	})
}

// The backend gets the user's token and nothing of the client's; a resource that was
// not asked to forward gets nothing at all.
func TestForwardedToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newForwardingLab(t, member(1))
		raw := l.grant("g1", member(1))
		l.wantForwarded(raw, "access-of-1", "configured")
		before := l.mem.reads
		l.wantForwarded(raw, "access-of-1", "again")
		if l.mem.reads != before {
			t.Error("the store is read with every request")
		}
		if strings.Contains(l.logged(), "access-of-1") {
			t.Error("the token is in the log")
		}
		l.guard.cfg.ForwardUpstreamToken = false
		if status, got := l.sees(raw); status != http.StatusOK || got != nil {
			t.Errorf("not configured: %d, the backend got %v", status, got)
		}
	})
}

// A hundred people at once, while tokens change: nobody's request ever carries the
// token of somebody else.
func TestForwardedTokenIsNeverAnotherPersons(t *testing.T) {
	t.Parallel()
	const n = 100
	var people []identity.Identity
	for i := range n {
		people = append(people, member(i+1))
	}
	l := newForwardingLab(t, people...)
	raws := make([]string, n)
	for i := range raws {
		raws[i] = l.grant(fmt.Sprint("g", i), people[i])
	}
	var done sync.WaitGroup
	for worker := range 64 {
		done.Go(func() {
			for round := range 50 {
				i := (worker*7 + round*13) % n
				if round%10 == 0 {
					l.keep(people[i], &upstream.Token{Access: fmt.Sprintf("access-of-%d", i+1)})
				}
				l.wantForwarded(raws[i], fmt.Sprintf("access-of-%d", i+1), "under load")
			}
		})
	}
	done.Wait()
}

// Whoever can write to the store puts the token of somebody powerful into the record
// of somebody who is not: it does not open there.
func TestSwappedTokenIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newForwardingLab(t, member(1), member(2))
		mallory := l.grant("g2", member(2))
		a := l.mem.account("github:2")
		a.Token = l.mem.account("github:1").Token
		if err := l.mem.ReplaceAccount(t.Context(), &a); err != nil {
			t.Fatal(err)
		}
		l.wantRefused(mallory, http.StatusUnauthorized, "with another account's token")
		time.Sleep(labInterval)
		l.sees(mallory)
		for _, used := range l.idp.used {
			if used == "access-of-1" {
				t.Error("the check used it")
			}
		}
		// Nor does anything else that was sealed by the same key.
		a = l.mem.account("github:2")
		a.Token = l.st.ring.Load().Seal(token.PurposeSession, []byte(`{"access":"x"}`), tokenRecord("github:2"))
		if l.st.openToken(&a) != nil {
			t.Error("a value of another purpose opens")
		}
	})
}

// Somebody signed in before the option was turned on: there is nothing to forward.
// The client signs in again, which brings it.
func TestNothingToForward(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newForwardingLab(t, member(1))
		raw := l.grant("g1", member(1))
		l.keep(member(1), nil)
		l.wantRefused(raw, http.StatusUnauthorized, "without a token")
		if !l.mem.hasGrant("g1") {
			t.Error("the grant was revoked for it")
		}
		l.keep(member(1), &upstream.Token{Access: "new"})
		l.wantForwarded(raw, "new", "after the sign-in")
	})
}

// A token with an end and nothing to renew it with: sent until it ends, not after.
func TestTokenThatCannotBeRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newForwardingLab(t, member(1))
		raw := l.grant("g1", member(1))
		l.keep(member(1), &upstream.Token{Access: "short", Expiry: time.Now().Add(5 * time.Minute)})
		l.wantForwarded(raw, "short", "at first")
		time.Sleep(5*time.Minute - endMargin - time.Second)
		l.wantForwarded(raw, "short", "just before its end")
		time.Sleep(time.Second)
		l.wantRefused(raw, http.StatusUnauthorized, "at its end")
	})
}

// Tokens are renewed ahead, once for all requests, and stored before they are used;
// nobody waits for it.
func TestTokenIsRenewedAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newForwardingLab(t, member(1))
		raw := l.grant("g1", member(1))
		l.keep(member(1), &upstream.Token{Access: "a0", Refresh: "r0", Expiry: time.Now().Add(time.Hour)})
		renewals := 0
		l.idp.renew = func(_ context.Context, tok *upstream.Token) (*upstream.Token, error) {
			renewals++
			if want := fmt.Sprint("r", renewals-1); tok.Refresh != want {
				t.Errorf("renewed with %q, want %q", tok.Refresh, want)
			}
			time.Sleep(time.Second)
			return &upstream.Token{
				Access: fmt.Sprint("a", renewals), Refresh: fmt.Sprint("r", renewals), Expiry: time.Now().Add(time.Hour),
			}, nil
		}
		for range 5 * 60 { // five hours
			for range 3 {
				start := time.Now()
				if status, got := l.sees(raw); status != http.StatusOK || got == nil || time.Since(start) != 0 {
					t.Fatalf("%d %v after %v", status, got, time.Since(start))
				}
			}
			time.Sleep(time.Minute)
		}
		if renewals != 5 {
			t.Errorf("%d renewals", renewals)
		}
		a := l.mem.account("github:1")
		if tok := l.st.openToken(&a); tok.Refresh != fmt.Sprint("r", renewals) {
			t.Errorf("kept %q", tok.Refresh)
		}
	})
}

// An hour without a request: the token is over. The requests that come then wait for
// one renewal.
func TestTokenThatEndedIsRenewedFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newForwardingLab(t, member(1))
		raw := l.grant("g1", member(1))
		l.keep(member(1), &upstream.Token{Access: "old", Refresh: "r", Expiry: time.Now().Add(time.Minute)})
		renewals := 0
		l.idp.renew = func(context.Context, *upstream.Token) (*upstream.Token, error) {
			renewals++
			time.Sleep(time.Second)
			return &upstream.Token{Access: "new", Refresh: "r", Expiry: time.Now().Add(time.Hour)}, nil
		}
		time.Sleep(5 * time.Minute)
		var done sync.WaitGroup
		for range 32 {
			done.Go(func() { l.wantForwarded(raw, "new", "after its end") })
		}
		done.Wait()
		if renewals != 1 {
			t.Errorf("%d renewals", renewals)
		}
	})
}

// What the provider may answer to a renewal.
func TestRenewalThatFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err    *upstream.Refusal
		status int
	}{
		"provider does not answer": {upstream.Refuse(upstream.ReasonUnavailable, "x"), http.StatusServiceUnavailable},
		"our credentials":          {upstream.Refuse(upstream.ReasonMisconfigured, "x"), http.StatusServiceUnavailable},
		"the refresh token ended":  {upstream.Refuse(upstream.ReasonSignInNeeded, "x"), http.StatusUnauthorized},
		"it was taken back":        {upstream.Refuse(upstream.ReasonRevoked, "x"), http.StatusUnauthorized},
		"nothing":                  {nil, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newForwardingLab(t, member(1))
				raw := l.grant("g1", member(1))
				l.keep(member(1), &upstream.Token{Access: "old", Refresh: "r", Expiry: time.Now().Add(3 * time.Minute)})
				renewals := 0
				l.idp.renew = func(context.Context, *upstream.Token) (*upstream.Token, error) {
					renewals++
					if tt.err == nil {
						return &upstream.Token{}, nil
					}
					return nil, tt.err
				}
				time.Sleep(90 * time.Second)
				l.wantForwarded(raw, "old", "while it is good")
				time.Sleep(2 * time.Minute)
				for range 20 {
					l.wantRefused(raw, tt.status, "after its end")
				}
				if renewals > 4 {
					t.Errorf("%d renewals", renewals)
				}
				if !l.mem.hasGrant("g1") {
					t.Error("the grant was revoked for it")
				}
				l.keep(member(1), &upstream.Token{Access: "fresh"})
				l.wantForwarded(raw, "fresh", "after another sign-in")
			})
		})
	}
}

// Two gateways renew at the same time, and the provider lets each refresh token be
// used once: the one that came second finds the token of the first.
func TestTwoGatewaysRenewAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newForwardingLab(t, member(1))
		raw := l.grant("g1", member(1))
		l.keep(member(1), &upstream.Token{Access: "old", Refresh: "r", Expiry: time.Now().Add(time.Minute)})
		l.idp.renew = func(context.Context, *upstream.Token) (*upstream.Token, error) {
			time.AfterFunc(time.Second, func() { // the other one stores it a moment later
				a := l.mem.account("github:1")
				a.Token = l.st.sealToken("github:1", &upstream.Token{Access: "theirs", Refresh: "r2", Expiry: time.Now().Add(time.Hour)})
				if err := l.mem.ReplaceAccount(t.Context(), &a); err != nil {
					t.Error(err)
				}
			})
			return nil, upstream.Refuse(upstream.ReasonRevoked, "refresh token was used")
		}
		time.Sleep(5 * time.Minute)
		l.wantForwarded(raw, "theirs", "after the collision")
	})
}

// A check and a renewal of one account never run at the same time: both may use the
// one refresh token up.
func TestCheckAndRenewalTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newForwardingLab(t, member(1))
		raw := l.grant("g1", member(1))
		l.keep(member(1), &upstream.Token{Access: "old", Refresh: "r", Expiry: time.Now().Add(labInterval - time.Minute)})
		var mu sync.Mutex
		busy := 0
		turn := func() {
			mu.Lock()
			busy++
			if busy > 1 {
				t.Error("both at once")
			}
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			busy--
			mu.Unlock()
		}
		l.idp.does(func(_ context.Context, last identity.Identity, _ *upstream.Token, _ func(*upstream.Token) error) (identity.Identity, error) {
			turn()
			return last, nil
		})
		l.idp.renew = func(context.Context, *upstream.Token) (*upstream.Token, error) {
			turn()
			return &upstream.Token{Access: "new", Refresh: "r", Expiry: time.Now().Add(time.Hour)}, nil
		}
		time.Sleep(labInterval)
		var done sync.WaitGroup
		for range 16 {
			done.Go(func() { l.wantForwarded(raw, "new", "after both") })
		}
		done.Wait()
	})
}

// The store fails after the provider has renewed: the request is not decided, and
// nothing that was not stored is used.
func TestRenewedTokenThatCannotBeStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newForwardingLab(t, member(1))
		raw := l.grant("g1", member(1))
		l.keep(member(1), &upstream.Token{Access: "old", Refresh: "r", Expiry: time.Now().Add(time.Minute)})
		l.idp.renew = func(context.Context, *upstream.Token) (*upstream.Token, error) {
			return &upstream.Token{Access: "unsaved", Refresh: "r2", Expiry: time.Now().Add(time.Hour)}, nil
		}
		l.mem.intercept(func(verb, _ string) error {
			if verb == "ReplaceAccount" {
				return errors.New("disk full")
			}
			return nil
		})
		time.Sleep(2 * time.Minute)
		l.wantRefused(raw, http.StatusServiceUnavailable, "while the store fails")
	})
}

// After a change of keys tokens are opened anew; with the old key gone there is none.
func TestForwardingAfterAChangeOfKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newForwardingLab(t, member(1), member(2))
		raw := l.grant("g1", member(1))
		l.wantForwarded(raw, "access-of-1", "old key")
		l.st.ring.Store(token.NewRing(token.Key{2}, token.Key{1}))
		l.wantForwarded(raw, "access-of-1", "both keys")
		l.st.ring.Store(token.NewRing(token.Key{3}))
		other, err := l.st.ring.Load().SealAccess(token.Access{
			Issuer: testIssuer, GrantID: "g1", Subject: "github:1", ClientID: "c", Resource: testIssuer + "/mcp",
			ExpiresAt: time.Now().Add(time.Hour),
		})
		if err != nil {
			t.Fatal(err)
		}
		l.wantRefused(other, http.StatusUnauthorized, "key gone")
	})
}
