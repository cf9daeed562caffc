// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// verbs are all of Store, on records that seed made: every one would succeed.
func (e *env) verbs() map[string]func(context.Context) error {
	all := e.signInVerbs()
	maps.Copy(all, e.ownerVerbs())
	maps.Copy(all, e.adminVerbs())
	return all
}

// adminVerbs are those about accounts, about all grants of a user and about keys.
func (e *env) adminVerbs() map[string]func(context.Context) error {
	now := e.clock.Now()
	return map[string]func(context.Context) error{
		"SaveAccount again": func(ctx context.Context) error { return e.store.SaveAccount(ctx, NewAccount("1", now)) },
		"ReplaceAccount": func(ctx context.Context) error {
			a := NewAccount("2", now)
			a.Revision, a.Identity.Login = 1, "renamed"
			return e.store.ReplaceAccount(ctx, a)
		},
		"Accounts":       func(ctx context.Context) error { _, _, err := e.store.Accounts(ctx, "", 10); return err },
		"GrantsOf":       func(ctx context.Context) error { _, err := e.store.GrantsOf(ctx, "github:583231"); return err },
		"DeleteSessions": func(ctx context.Context) error { return e.store.DeleteSessions(ctx, "github:2") },
		"CreateKey":      func(ctx context.Context) error { return e.store.CreateKey(ctx, NewKey(issuerA, "new", now)) },
		"Keys":           func(ctx context.Context) error { _, err := e.store.Keys(ctx, issuerA); return err },
		"ReplaceKey": func(ctx context.Context) error {
			k := NewKey(issuerA, "key", now)
			k.Private = "sealed anew"
			return e.store.ReplaceKey(ctx, k)
		},
	}
}

func (e *env) signInVerbs() map[string]func(context.Context) error {
	now := e.clock.Now()
	return map[string]func(context.Context) error{
		"CreateClient":  func(ctx context.Context) error { return e.store.CreateClient(ctx, NewClient(issuerA, "new", now)) },
		"KeepClient":    func(ctx context.Context) error { return e.store.KeepClient(ctx, issuerA, "client") },
		"CreatePending": func(ctx context.Context) error { return e.store.CreatePending(ctx, NewPending(issuerA, "new", now)) },
		"SaveAccount":   func(ctx context.Context) error { return e.store.SaveAccount(ctx, &storage.Account{Subject: "new"}) },
		"CreateGrant":   func(ctx context.Context) error { return e.store.CreateGrant(ctx, NewGrant(issuerA, "new", now)) },
		"RevokeGrant":   func(ctx context.Context) error { return e.store.RevokeGrant(ctx, issuerA, "revoked") },
		"Client":        func(ctx context.Context) error { _, err := e.store.Client(ctx, issuerA, "client"); return err },
		"Pending":       func(ctx context.Context) error { _, err := e.store.Pending(ctx, issuerA, hash("state")); return err },
		"TakePending": func(ctx context.Context) error {
			_, err := e.store.TakePending(ctx, issuerA, hash("state"))
			return err
		},
		"Account": func(ctx context.Context) error { _, err := e.store.Account(ctx, "github:583231"); return err },
		"Grant":   func(ctx context.Context) error { _, err := e.store.Grant(ctx, issuerA, "grant"); return err },
		"RedeemCode": func(ctx context.Context) error {
			_, err := e.store.RedeemCode(ctx, issuerA, "fresh", NewRedemption("fresh"))
			return err
		},
		"RotateRefresh": func(ctx context.Context) error {
			_, err := e.store.RotateRefresh(ctx, issuerA, "grant", rotation("first", "nonce"))
			return err
		},
		"RotateRefresh with a stolen secret": func(ctx context.Context) error {
			_, err := e.store.RotateRefresh(ctx, issuerA, "grant", rotation("stolen", "nonce"))
			return err
		},
	}
}

// ownerVerbs are those about browsers and users, and about what belongs to a client.
func (e *env) ownerVerbs() map[string]func(context.Context) error {
	now := e.clock.Now()
	return map[string]func(context.Context) error{
		"DeleteClient": func(ctx context.Context) error {
			_, err := e.store.DeleteClient(ctx, issuerA, "client")
			return err
		},
		"RememberOnce":  func(ctx context.Context) error { return e.store.RememberOnce(ctx, issuerA, hash("new"), time.Hour) },
		"CreateSession": func(ctx context.Context) error { return e.store.CreateSession(ctx, NewSession(issuerA, "new", now)) },
		"Session": func(ctx context.Context) error {
			_, err := e.store.Session(ctx, issuerA, hash("cookie"))
			return err
		},
		"TouchSession": func(ctx context.Context) error {
			return e.store.TouchSession(ctx, issuerA, hash("cookie"), 2*sessionIdle)
		},
		"DeleteSession": func(ctx context.Context) error { return e.store.DeleteSession(ctx, issuerA, hash("over")) },
		"SaveConsent": func(ctx context.Context) error {
			return e.store.SaveConsent(ctx, NewConsent(issuerA, "new", "github:583231", now))
		},
		"Consent": func(ctx context.Context) error {
			_, err := e.store.Consent(ctx, issuerA, hash("decision"))
			return err
		},
		"DeleteConsents": func(ctx context.Context) error { return e.store.DeleteConsents(ctx, issuerA, "github:583231") },
	}
}

func (e *env) seed() {
	e.Helper()
	e.ok(e.store.CreateClient(e.ctx, NewClient(issuerA, "client", e.clock.Now())))
	e.ok(e.store.CreatePending(e.ctx, NewPending(issuerA, "state", e.clock.Now())))
	e.ok(e.store.SaveAccount(e.ctx, newAccount(e.clock.Now())))
	e.createGrant("fresh")
	e.createLive("grant")
	e.createLive("revoked")
	e.createSession("cookie")
	e.createSession("over")
	e.saveConsent("decision", "github:583231")
	e.saveConsent("other", "github:1")
	e.ok(e.store.RememberOnce(e.ctx, issuerA, hash("used"), time.Hour))
	e.ok(e.store.SaveAccount(e.ctx, NewAccount("1", e.clock.Now())))
	e.ok(e.store.SaveAccount(e.ctx, NewAccount("2", e.clock.Now())))
	e.createSessionOf(issuerA, "of another", "github:2")
	e.ok(e.store.CreateKey(e.ctx, NewKey(issuerA, "key", e.clock.Now())))
}

// snapshot is what every read says of the records of seed and verbs.
func (e *env) snapshot() map[string]any {
	e.Helper()
	seen := map[string]any{}
	add := func(what string, rec any, err error) {
		if err != nil {
			e.wantErr(err, storage.ErrNotFound)
			rec = "not found"
		}
		seen[what] = rec
	}
	for _, id := range []string{"client", "new"} {
		c, err := e.store.Client(e.ctx, issuerA, id)
		add("client "+id, c, err)
	}
	for _, state := range []string{"state", "new"} {
		p, err := e.store.Pending(e.ctx, issuerA, hash(state))
		add("pending "+state, p, err)
	}
	for _, subject := range []string{"github:583231", "github:1", "github:2", "new"} {
		a, err := e.store.Account(e.ctx, subject)
		add("account "+subject, a, err)
	}
	for _, id := range []string{"fresh", "grant", "revoked", "new"} {
		g, err := e.store.Grant(e.ctx, issuerA, id)
		add("grant "+id, g, err)
	}
	for _, cookie := range []string{"cookie", "over", "new", "of another"} {
		s, err := e.store.Session(e.ctx, issuerA, hash(cookie))
		add("session "+cookie, s, err)
	}
	for _, decision := range []string{"decision", "other", "new"} {
		c, err := e.store.Consent(e.ctx, issuerA, hash(decision))
		add("consent "+decision, c, err)
	}
	e.snapshotLists(add)
	return seen
}

// snapshotLists is the part of snapshot about verbs that return several records.
func (e *env) snapshotLists(add func(what string, rec any, err error)) {
	e.Helper()
	keys, err := e.store.Keys(e.ctx, issuerA)
	add("keys", keys, err)
	grants, err := e.store.GrantsOf(e.ctx, "github:583231")
	sortGrants(grants)
	add("grants of github:583231", grants, err)
	page, _, err := e.store.Accounts(e.ctx, "", 100)
	slices.SortFunc(page, func(a, b *storage.Account) int { return strings.Compare(a.Subject, b.Subject) })
	add("accounts", page, err)
}

var lifecycleTests = map[string]func(*env){
	"a context that is done keeps every verb from acting": func(e *env) {
		e.seed()
		before := e.snapshot()
		cancelled, cancel := context.WithCancel(e.ctx)
		cancel()
		expired, stop := context.WithDeadline(e.ctx, time.Unix(1, 0))
		defer stop()
		for name, verb := range e.verbs() {
			if err := verb(cancelled); !errors.Is(err, context.Canceled) {
				e.Errorf("%s with a cancelled context: %v", name, err)
			}
			if err := verb(expired); !errors.Is(err, context.DeadlineExceeded) {
				e.Errorf("%s with an expired context: %v", name, err)
			}
		}
		e.same(e.snapshot(), before)
	},
	// Clients hang up all the time. Whatever a cancelled caller is told, what it
	// left behind is the whole step or none of it.
	"a context that ends meanwhile leaves a whole step or none": func(e *env) {
		for i := range 50 {
			id := fmt.Sprint("grant", i)
			e.createGrant(id)
			ctx, cancel := context.WithCancel(e.ctx)
			var wg sync.WaitGroup
			wg.Go(cancel)
			_, err := e.store.RedeemCode(ctx, issuerA, id, NewRedemption(id))
			wg.Wait()
			if err != nil {
				e.wantErr(err, context.Canceled)
			}
			g, readErr := e.store.Grant(e.ctx, issuerA, id)
			e.ok(readErr)
			if err == nil && !g.Live() {
				e.Fatal("an acknowledged redemption is not there")
			}
			if g.Live() != (g.Refresh.Current == hash("first")) {
				e.Fatal("half a redemption is there")
			}
		}
	},
	"closed every verb answers ErrClosed": func(e *env) {
		e.seed()
		e.ok(e.store.Close())
		for name, verb := range e.verbs() {
			if err := verb(e.ctx); !errors.Is(err, storage.ErrClosed) {
				e.Errorf("%s after Close: %v", name, err)
			}
		}
		e.wantErr(e.store.Close(), storage.ErrClosed)
	},
	"verbs that race Close succeed or answer ErrClosed": func(e *env) {
		e.seed()
		var (
			wg      sync.WaitGroup
			started = make(chan struct{}, Callers)
			kept    = make([][]string, Callers)
		)
		for i := range Callers {
			wg.Go(func() {
				for j := 0; ; j++ {
					id := fmt.Sprint(i, "-", j)
					_, readErr := e.store.Grant(e.ctx, issuerA, "grant")
					err := e.store.CreateGrant(e.ctx, NewGrant(issuerA, id, e.clock.Now()))
					if j == 0 {
						started <- struct{}{}
					}
					if readErr != nil && !errors.Is(readErr, storage.ErrClosed) || err != nil && !errors.Is(err, storage.ErrClosed) {
						e.Errorf("errors %v and %v, want none or ErrClosed", readErr, err)
						return
					}
					if err != nil {
						return
					}
					kept[i] = append(kept[i], id)
				}
			})
		}
		for range Callers {
			<-started
		}
		e.ok(e.store.Close())
		wg.Wait()
		e.reopen()
		for _, ids := range kept {
			for _, id := range ids {
				_, err := e.store.Grant(e.ctx, issuerA, id)
				e.ok(err)
			}
		}
	},
}
