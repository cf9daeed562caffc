// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

var grantsOfTests = map[string]func(*env){
	"of nobody there are none": func(e *env) {
		e.createGrant("grant")
		for _, subject := range []string{"", "github:1", "github:58323", "github:5832311", "GITHUB:583231", "github:*", "github:583231\x00"} {
			e.wantGrantsOf(subject)
		}
	},
	"of all issuers and clients, redeemed or not": func(e *env) {
		fresh := NewGrant(issuerA, "fresh", e.clock.Now())
		e.ok(e.store.CreateGrant(e.ctx, fresh))
		live := e.createLive("live")
		elsewhere := NewGrant(issuerB, "live", e.clock.Now())
		elsewhere.ClientID, elsewhere.Resource = "another", "https://b.example.com/mcp"
		e.ok(e.store.CreateGrant(e.ctx, elsewhere))
		e.wantGrantsOf("github:583231", fresh, live, elsewhere)
	},
	"of that subject only": func(e *env) {
		for _, subject := range []string{"github:1", "github:11", "gitlab:1", "", "github:"} {
			e.createGrantFor(issuerA, "of "+subject, subject)
		}
		for _, subject := range []string{"github:1", "github:11", "gitlab:1", "", "github:"} {
			want := NewGrant(issuerA, "of "+subject, e.clock.Now())
			want.Subject = subject
			e.wantGrantsOf(subject, want)
		}
	},
	"none past its end": func(e *env) {
		e.createGrant("unredeemed")
		live := e.createLive("live")
		e.clock.Advance(time.Minute + time.Second)
		e.wantGrantsOf("github:583231", live)
		e.clock.Advance(refreshTTL)
		e.wantGrantsOf("github:583231")
	},
	"none that was revoked": func(e *env) {
		kept := e.createLive("kept")
		e.createLive("revoked")
		e.createLive("stolen")
		deleted := NewGrant(issuerA, "deleted", e.clock.Now())
		deleted.ClientID = "deleted"
		e.ok(e.store.CreateGrant(e.ctx, deleted))
		e.ok(e.store.RevokeGrant(e.ctx, issuerA, "revoked"))
		_, err := e.store.RotateRefresh(e.ctx, issuerA, "stolen", rotation("never current", "n"))
		e.wantErr(err, storage.ErrReuse)
		_, err = e.store.DeleteClient(e.ctx, issuerA, "deleted")
		e.ok(err)
		e.wantGrantsOf("github:583231", kept)
	},
	"as they are after a rotation": func(e *env) {
		e.createLive("grant")
		e.clock.Advance(time.Hour)
		r, err := e.store.RotateRefresh(e.ctx, issuerA, "grant", rotation("first", "n1"))
		e.ok(err)
		e.wantGrantsOf("github:583231", r.Grant)
	},
	// The id of a grant that ended is taken again, by another user.
	"an id that changed hands is its last owner's": func(e *env) {
		e.createGrantFor(issuerA, "grant", "github:1")
		e.clock.Advance(time.Minute + time.Second)
		e.createGrantFor(issuerA, "grant", "github:2")
		e.wantGrantsOf("github:1")
		want := NewGrant(issuerA, "grant", e.clock.Now())
		want.Subject = "github:2"
		e.wantGrantsOf("github:2", want)
	},
	"many of them": func(e *env) {
		var want []*storage.Grant
		for i := range 300 {
			want = append(want, NewGrant(issuerA, fmt.Sprintf("grant%03d", i), e.clock.Now()))
		}
		errs := make(chan error)
		for _, g := range want {
			go func() { errs <- e.store.CreateGrant(e.ctx, g) }()
		}
		for range want {
			e.ok(<-errs)
		}
		e.wantGrantsOf("github:583231", want...)
	},
	// Whoever revokes a user reads the list and revokes each. What was acknowledged
	// before the list was asked for is on it, whatever is created meanwhile.
	"what was acknowledged before is among them": func(e *env) {
		now := e.clock.Now()
		e.wantWinners(race(func(i int) error {
			g := NewGrant(issuerA, fmt.Sprint(i), now)
			if err := e.store.CreateGrant(e.ctx, g); err != nil {
				return err
			}
			list, err := e.store.GrantsOf(e.ctx, g.Subject)
			if err == nil && !slices.ContainsFunc(list, func(seen *storage.Grant) bool { return seen.ID == g.ID }) {
				return fmt.Errorf("grant %s is not among %d", g.ID, len(list))
			}
			return err
		}), Callers, nil)
	},
	"hostile subjects": func(e *env) {
		for name, text := range hostileTexts() {
			e.createGrantFor(issuerA, name, text)
		}
		for name, text := range hostileTexts() {
			want := NewGrant(issuerA, name, e.clock.Now())
			want.Subject = text
			e.wantGrantsOf(text, want)
		}
	},
	"they survive a restart": func(e *env) {
		live := e.createLive("live")
		e.createLive("revoked")
		e.ok(e.store.RevokeGrant(e.ctx, issuerA, "revoked"))
		e.reopen()
		e.wantGrantsOf("github:583231", live)
	},
}

func (e *env) createGrantFor(issuer, id, subject string) {
	e.Helper()
	g := NewGrant(issuer, id, e.clock.Now())
	g.Subject = subject
	e.ok(e.store.CreateGrant(e.ctx, g))
}

func (e *env) wantGrantsOf(subject string, want ...*storage.Grant) {
	e.Helper()
	got, err := e.store.GrantsOf(e.ctx, subject)
	e.ok(err)
	sortGrants(got)
	want = slices.Clone(want)
	sortGrants(want)
	e.same(got, want)
}

func sortGrants(grants []*storage.Grant) {
	slices.SortFunc(grants, func(a, b *storage.Grant) int {
		return cmp.Or(cmp.Compare(a.Issuer, b.Issuer), cmp.Compare(a.ID, b.ID))
	})
}
