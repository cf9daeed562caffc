// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

type answer = func(context.Context, identity.Identity, *upstream.Token, func(*upstream.Token) error) (identity.Identity, error)

// The operator takes acme off the list, and somebody leaves acme as well. The rules
// had refused them already: the grant is kept for when they change back. Whoever is
// admitted by another rule keeps everything.
func TestOnlyTheProviderRevokes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		judge func(groups int, login string) bool
		kept  bool
	}{
		"the rules allow neither":     {func(int, string) bool { return false }, true},
		"the rules allow both":        {func(int, string) bool { return true }, true},
		"the rules allow the old one": {func(groups int, _ string) bool { return groups > 0 }, false},
		"the rules allow the new one": {func(groups int, _ string) bool { return groups == 0 }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, member(1))
				l.policy = func(_ string, id identity.Identity) bool { return tt.judge(len(id.Groups), id.Login) }
				l.rules(labInterval, labOutage)
				raw := l.grant("g1", member(1))
				l.idp.is(person("1"))
				time.Sleep(labInterval)
				l.use(raw)
				if got := l.mem.hasGrant("g1"); got != tt.kept {
					t.Errorf("grant kept: %v", got)
				}
			})
		})
	}
}

// Without rules of its own, a check uses those of the newest configuration.
func TestCheckFallsBackToTheJudge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1))
		l.st.SetRecheck(Recheck{Interval: labInterval, Outage: labOutage, Upstreams: []upstream.Upstream{l.idp}})
		raw := l.grant("g1", member(1))
		l.idp.is(person("1"))
		time.Sleep(labInterval)
		l.want(raw, http.StatusUnauthorized, "removed")
	})
}

// A configuration is loaded while a check is on its way that was asked for less than
// the new rules need: that somebody is in no organization is not what it says.
func TestReloadDuringACheck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1))
		raw := l.grant("g1", member(1))
		old, fuller := l.idp, newIDP(member(1))
		old.does(func(_ context.Context, last identity.Identity, _ *upstream.Token, _ func(*upstream.Token) error) (identity.Identity, error) {
			l.idp = fuller
			l.rules(labInterval, labOutage)
			last.Groups = nil
			return last, nil
		})
		time.Sleep(labInterval)
		l.want(raw, http.StatusOK, "after the reload")
		if fuller.questions() != 1 || !l.mem.hasGrant("g1") {
			t.Errorf("the new upstream was asked %d times", fuller.questions())
		}
	})
}

// The gateway dies between the revocation of two grants, or the store fails there.
// What was not revoked is refused meanwhile, and the next check does the rest.
func TestStoreFailsDuringARevocation(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"GrantsOf", "RevokeGrant", "ReplaceAccount"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, member(1))
				raws := []string{l.grant("g1", member(1)), l.grant("g2", member(1))}
				stream := l.testbed.call(l.request(t.Context(), raws[0]), "text/event-stream")
				synctest.Wait()
				l.idp.is(person("1"))
				l.mem.intercept(func(v, id string) error {
					if v == verb && id != "g1" {
						return errors.New("disk full")
					}
					return nil
				})
				time.Sleep(labInterval)
				for _, raw := range raws {
					if status, _ := l.use(raw); status != http.StatusForbidden && status != http.StatusUnauthorized {
						t.Errorf("%d while the store fails", status)
					}
				}
				if over(stream) == nil {
					t.Error("the stream goes on")
				}
				if len(l.mem.account("github:1").Identity.Groups) == 0 {
					t.Error("the account says it is done")
				}
				l.mem.intercept(nil)
				time.Sleep(time.Minute)
				for _, raw := range append(raws, l.grant("g9", member(1))) {
					l.use(raw)
				}
				synctest.Wait()
				if l.mem.hasGrant("g1") || l.mem.hasGrant("g2") || len(l.mem.account("github:1").Identity.Groups) != 0 {
					t.Error("the next check did not finish it")
				}
			})
		})
	}
}

// The same for an account that was revoked at the provider: until all is done, the
// next check finds the token and asks again.
func TestStoreFailsWhileAllIsRevoked(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"GrantsOf", "RevokeGrant", "DeleteSessions", "DeleteConsents", "ReplaceAccount"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, member(1))
				raw := l.grant("g1", member(1))
				l.st.issuers.Store(testIssuer, nil)
				l.mem.sessions["github:1"], l.mem.consents[testIssuer+" github:1"] = 1, 1
				l.idp.lose("github:1")
				l.mem.intercept(func(v, _ string) error {
					if v == verb {
						return errors.New("disk full")
					}
					return nil
				})
				time.Sleep(labInterval)
				l.use(raw)
				if l.mem.account("github:1").Token == "" {
					t.Error("the token is gone before all is done")
				}
				l.mem.intercept(nil)
				time.Sleep(time.Minute)
				raw = l.grant("g9", member(1)) // whatever was left
				l.use(raw)
				synctest.Wait()
				if l.mem.hasGrant("g1") || len(l.mem.sessions)+len(l.mem.consents) != 0 || l.mem.account("github:1").Token != "" {
					t.Error("the next check did not finish it")
				}
			})
		})
	}
}

// Another gateway has checked the account meanwhile: the provider is not asked twice.
func TestAnotherGatewayChecked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1))
		raw := l.grant("g1", member(1))
		l.want(raw, http.StatusOK, "member")
		time.Sleep(7 * time.Minute)
		theirs := l.mem.account("github:1")
		theirs.CheckedAt, theirs.Identity.Login = time.Now(), "renamed"
		if err := l.mem.ReplaceAccount(t.Context(), &theirs); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		l.want(raw, http.StatusOK, "after the interval")
		if got := l.st.live.account("github:1").facts.Load().Login; l.idp.questions() != 0 || got != "renamed" {
			t.Errorf("asked %d times, login %q", l.idp.questions(), got)
		}
	})
}

// Two gateways ask at the same time, or a sign-in comes in between: the newer record
// wins, and an older answer that says no takes nothing away.
func TestNewerRecordWins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1))
		raw := l.grant("g1", member(1))
		l.idp.does(func(_ context.Context, last identity.Identity, _ *upstream.Token, _ func(*upstream.Token) error) (identity.Identity, error) {
			back := member(1)
			back.Login = "fresh"
			if err := l.st.saveAccount(t.Context(), nil, back, &upstream.Token{Access: "fresh"}); err != nil {
				t.Error(err)
			}
			last.Groups = nil // as it was a moment before
			return last, nil
		})
		time.Sleep(labInterval)
		l.want(raw, http.StatusOK, "after the sign-in")
		a := l.mem.account("github:1")
		if tok := l.st.openToken(&a); a.Identity.Login != "fresh" || tok == nil || tok.Access != "fresh" {
			t.Errorf("account %+v", a)
		}
	})
}

// Somebody else stored another form of the same token while the answer was on its
// way: the answer counts all the same.
func TestTokenStoredAgainDuringACheck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1))
		raw := l.grant("g1", member(1))
		l.idp.does(func(_ context.Context, last identity.Identity, tok *upstream.Token, _ func(*upstream.Token) error) (identity.Identity, error) {
			a := l.mem.account("github:1")
			a.Token = l.st.sealToken("github:1", tok)
			if err := l.mem.ReplaceAccount(t.Context(), &a); err != nil {
				t.Error(err)
			}
			last.Groups = nil
			return last, nil
		})
		time.Sleep(labInterval)
		l.want(raw, http.StatusUnauthorized, "removed")
	})
}

// A provider whose tokens are renewed with each use: the new one is stored before
// anything else, and survives a check that fails after it, a reader that is slow, and
// a record that somebody else touched.
func TestTokenRenewedByACheckIsNotLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1))
		raw := l.grant("g1", member(1))
		l.idp.does(func(_ context.Context, last identity.Identity, _ *upstream.Token, save func(*upstream.Token) error) (identity.Identity, error) {
			a := l.mem.account("github:1")
			if err := l.mem.ReplaceAccount(t.Context(), &a); err != nil { // somebody touches it
				t.Error(err)
			}
			if err := save(&upstream.Token{Access: "renewed", Refresh: "next"}); err != nil {
				t.Errorf("save: %v", err)
			}
			return last, upstream.Refuse(upstream.ReasonUnavailable, "the rest failed")
		})
		time.Sleep(labInterval)
		l.want(raw, http.StatusOK, "the last decision")
		a := l.mem.account("github:1")
		if tok := l.st.openToken(&a); tok == nil || tok.Access != "renewed" || time.Since(a.CheckedAt) < labInterval {
			t.Errorf("token %v, checked %v", tok, a.CheckedAt)
		}
	})
}

// A sign-in stores a newer token while the check renews the older one: the one of the
// sign-in stays, and the check begins anew with it.
func TestRenewalDoesNotReplaceTheTokenOfASignIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1))
		raw := l.grant("g1", member(1))
		var used []string
		l.idp.does(func(_ context.Context, last identity.Identity, tok *upstream.Token, save func(*upstream.Token) error) (identity.Identity, error) {
			used = append(used, tok.Access)
			if len(used) > 1 {
				return last, nil
			}
			a := l.mem.account("github:1")
			a.Token = l.st.sealToken("github:1", &upstream.Token{Access: "signed-in"})
			if err := l.mem.SaveAccount(t.Context(), &a); err != nil {
				t.Error(err)
			}
			err := save(&upstream.Token{Access: "renewed"})
			return last, upstream.Refuse(upstream.ReasonUnavailable, "save: %w", err)
		})
		time.Sleep(labInterval)
		l.want(raw, http.StatusOK, "after the check")
		a := l.mem.account("github:1")
		if tok := l.st.openToken(&a); tok.Access != "signed-in" || strings.Join(used, " ") != "access-of-1 signed-in" {
			t.Errorf("asked with %v, kept %q", used, tok.Access)
		}
		if l.idp.asked == nil || l.st.recheck.Load().upstreams["github"].line.health.failures != 0 {
			t.Error("the provider was blamed for it")
		}
	})
}

// A bug in an upstream, an answer about somebody else, and errors of no known kind
// prove nothing.
func TestStrangeAnswersProveNothing(t *testing.T) {
	t.Parallel()
	for name, strange := range map[string]answer{
		"panic": func(context.Context, identity.Identity, *upstream.Token, func(*upstream.Token) error) (identity.Identity, error) {
			panic("bug")
		},
		"somebody else": func(context.Context, identity.Identity, *upstream.Token, func(*upstream.Token) error) (identity.Identity, error) {
			return member(2), nil
		},
		"nobody": func(context.Context, identity.Identity, *upstream.Token, func(*upstream.Token) error) (identity.Identity, error) {
			return identity.Identity{}, nil
		},
		"plain error": func(context.Context, identity.Identity, *upstream.Token, func(*upstream.Token) error) (identity.Identity, error) {
			return identity.Identity{}, errors.New("x")
		},
		"misconfigured": func(context.Context, identity.Identity, *upstream.Token, func(*upstream.Token) error) (identity.Identity, error) {
			return identity.Identity{}, upstream.Refuse(upstream.ReasonMisconfigured, "x")
		},
		"scope withheld": func(context.Context, identity.Identity, *upstream.Token, func(*upstream.Token) error) (identity.Identity, error) {
			return identity.Identity{}, upstream.Refuse(upstream.ReasonInsufficientScope, "x")
		},
		"a reason of the sign-in": func(context.Context, identity.Identity, *upstream.Token, func(*upstream.Token) error) (identity.Identity, error) {
			return identity.Identity{}, upstream.Refuse(upstream.ReasonDenied, "x")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, member(1))
				raw := l.grant("g1", member(1))
				l.idp.does(strange)
				time.Sleep(labInterval)
				l.want(raw, http.StatusOK, "the last decision")
				time.Sleep(labOutage - labInterval - time.Minute)
				l.want(raw, http.StatusOK, "the last decision, a day later")
				time.Sleep(time.Minute)
				l.want(raw, http.StatusServiceUnavailable, "after the outage")
				if !l.mem.hasGrant("g1") {
					t.Error("a grant was revoked")
				}
				l.idp.says(nil)
				time.Sleep(labInterval / 2)
				l.use(raw)
				synctest.Wait()
				l.want(raw, http.StatusOK, "after all")
			})
		})
	}
}

// One account about which the provider never says anything does not keep the others
// from being checked.
func TestOneTroublesomeAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1), member(2))
		odd, fine := l.grant("g1", member(1)), l.grant("g2", member(2))
		l.idp.does(func(_ context.Context, last identity.Identity, _ *upstream.Token, _ func(*upstream.Token) error) (identity.Identity, error) {
			if last.ID == "1" {
				return identity.Identity{}, upstream.Refuse(upstream.ReasonUnavailable, "403")
			}
			return last, nil
		})
		for range 120 {
			time.Sleep(time.Minute)
			l.want(odd, http.StatusOK, "odd")
			l.want(fine, http.StatusOK, "fine")
			if since := time.Since(l.mem.account("github:2").CheckedAt); since > labInterval+2*longestPause {
				t.Fatalf("not checked for %v", since)
			}
		}
	})
}

// An upstream that cannot be asked, and one that the configuration no longer has:
// what was known holds, and the rules decide what it is worth.
func TestNobodyToAsk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1))
		raw := l.grant("g1", member(1))
		for _, ups := range [][]upstream.Upstream{nil, {mute{l.idp}}} {
			l.st.SetRecheck(Recheck{Interval: labInterval, Outage: labOutage, Upstreams: ups})
			time.Sleep(10 * labOutage)
			l.want(raw, http.StatusOK, "nobody to ask")
		}
		l.rules(0, 0)
		time.Sleep(10 * labOutage)
		l.want(raw, http.StatusOK, "checks turned off")
		l.rules(labInterval, labOutage)
		l.want(raw, http.StatusOK, "checks turned on again")
		if l.idp.questions() != 1 {
			t.Errorf("%d questions", l.idp.questions())
		}
	})
}

// mute is an upstream that offers no checks.
type mute struct{ up upstream.Upstream }

func (m mute) Name() string  { return m.up.Name() }
func (m mute) Kind() string  { return m.up.Kind() }
func (m mute) Label() string { return m.up.Label() }

// A clock that was a year ahead when somebody signed in. Their check is not good for
// a year; and while the provider cannot be asked, nobody is logged out for it.
func TestCheckInTheFuture(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1))
		raw := l.grant("g1", member(1))
		a := l.mem.account("github:1")
		a.CheckedAt = time.Now().Add(365 * 24 * time.Hour)
		if err := l.mem.SaveAccount(t.Context(), &a); err != nil {
			t.Fatal(err)
		}
		l.want(raw, http.StatusOK, "at first")
		l.idp.is(person("1"))
		time.Sleep(labInterval)
		l.want(raw, http.StatusUnauthorized, "removed")
	})
}

// The record of somebody in use is gone, or names somebody else: nothing can be
// asked, and in the end they sign in again.
func TestAccountRecordIsGone(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(map[string]storage.Account){
		"gone": func(m map[string]storage.Account) { delete(m, "github:1") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, member(1))
				damage(l.mem.accounts)
				raw := l.grant("g1", member(1))
				l.want(raw, http.StatusOK, "by the grant's own facts")
				time.Sleep(labOutage - time.Minute)
				l.want(raw, http.StatusOK, "still")
				time.Sleep(time.Minute)
				l.want(raw, http.StatusUnauthorized, "after the outage")
				if l.idp.questions() != 0 {
					t.Error("the provider was asked about nobody")
				}
			})
		})
	}
}

// Closing ends what runs in the background, and no check begins after it.
func TestCloseEndsChecks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1))
		raw := l.grant("g1", member(1))
		l.idp.does(func(ctx context.Context, last identity.Identity, _ *upstream.Token, _ func(*upstream.Token) error) (identity.Identity, error) {
			<-ctx.Done()
			return last, upstream.Refuse(upstream.ReasonUnavailable, "%w", ctx.Err())
		})
		time.Sleep(labInterval)
		go l.use(raw)
		synctest.Wait()
		start := time.Now()
		if err := l.st.Close(); err != nil || time.Since(start) != 0 {
			t.Errorf("close: %v after %v", err, time.Since(start))
		}
		time.Sleep(labInterval)
		l.use(raw)
		if q := l.idp.questions(); q != 1 {
			t.Errorf("%d questions", q)
		}
		if n := l.counted(EventUpstreamUnavailable); n != 0 {
			t.Errorf("the provider was blamed %d times for our end", n)
		}
	})
}
