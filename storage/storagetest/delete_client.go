// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

var deleteClientTests = map[string]func(*env){
	"takes all grants along and names them": func(e *env) {
		e.ok(e.tryCreate("client"))
		e.createGrant("unredeemed")
		e.createLive("live")
		e.createLive("grant")
		e.wantRotated("first", "n1", "first+n1")
		e.wantDeleted("client", "grant", "live", "unredeemed")
		e.wantAbsent("client")
		e.wantGone("unredeemed", "first")
		e.wantGone("live", "first")
		e.wantGone("grant", "first", "first+n1")
	},
	"leaves the grants of other clients": func(e *env) {
		for _, id := range []string{"", "clien", "client", "client2", "CLIENT", "client:", "*"} {
			e.createGrantOf(id)
			e.ok(e.tryCreate(id))
		}
		e.wantDeleted("client", "of client")
		for _, id := range []string{"", "clien", "client2", "CLIENT", "client:", "*"} {
			e.wantPresent(id)
			_, err := e.store.Grant(e.ctx, issuerA, "of "+id)
			e.ok(err)
		}
	},
	// Two sites, each with a client of the same id. Deleting one must not sign
	// anyone out at the other.
	"another issuer is not concerned": func(e *env) {
		a := NewClient(issuerA, "client", e.clock.Now())
		e.ok(e.store.CreateClient(e.ctx, a))
		e.ok(e.store.CreateClient(e.ctx, NewClient(issuerB, "client", e.clock.Now())))
		e.createLive("grant")
		e.ok(e.store.CreateGrant(e.ctx, NewGrant(issuerB, "grant", e.clock.Now())))
		named, err := e.store.DeleteClient(e.ctx, issuerB, "client")
		e.ok(err)
		e.same(named, []string{"grant"})
		e.wantNoGrant(issuerB, "grant")
		e.wantClient(issuerA, "client", a)
		e.wantRotated("first", "n1", "first+n1")
	},
	"is idempotent": func(e *env) {
		e.ok(e.tryCreate("client"))
		e.createLive("grant")
		e.wantDeleted("client", "grant")
		e.wantDeleted("client")
		e.wantDeleted("never existed")
	},
	// A client that is named by a document or by the configuration has no record,
	// but it has grants.
	"works for a client without a record": func(e *env) {
		e.createLive("grant")
		e.wantDeleted("client", "grant")
		e.wantGone("grant", "first")
	},
	"names no grant that was revoked before": func(e *env) {
		e.createLive("grant")
		e.createLive("revoked")
		e.createLive("stolen")
		e.ok(e.store.RevokeGrant(e.ctx, issuerA, "revoked"))
		_, err := e.store.RotateRefresh(e.ctx, issuerA, "stolen", rotation("never current", "n"))
		e.wantErr(err, storage.ErrReuse)
		e.wantDeleted("client", "grant")
	},
	"grants past their end are no hindrance": func(e *env) {
		e.createGrant("ended")
		e.createLive("live")
		e.clock.Advance(2 * time.Minute)
		named, err := e.store.DeleteClient(e.ctx, issuerA, "client")
		e.ok(err)
		if !slices.Contains(named, "live") {
			e.Fatalf("named %q, want the live one", named)
		}
		e.wantGone("live", "first")
		e.wantGone("ended", "first")
	},
	"a client past its end goes too": func(e *env) {
		e.ok(e.tryCreate("client"))
		e.createLive("grant")
		e.clock.Advance(25 * time.Hour)
		e.wantDeleted("client", "grant")
		e.ok(e.tryCreate("client"))
	},
	"makes room for another unused client": func(e *env) {
		e.limit(2)
		e.createClients("c", 2)
		e.wantErr(e.tryCreate("d"), storage.ErrFull)
		e.wantDeleted("c1")
		e.wantDeleted("c1")
		e.ok(e.tryCreate("d"))
		e.wantErr(e.tryCreate("e"), storage.ErrFull)
		e.ok(e.store.KeepClient(e.ctx, issuerA, "d"))
		e.wantDeleted("d") // kept, it took no place
		e.ok(e.tryCreate("e"))
		e.wantErr(e.tryCreate("f"), storage.ErrFull)
	},
	"a client that comes after inherits nothing": func(e *env) {
		e.ok(e.tryCreate("client"))
		e.ok(e.store.KeepClient(e.ctx, issuerA, "client"))
		e.createLive("grant")
		e.wantDeleted("client", "grant")
		c := NewClient(issuerA, "client", e.clock.Now())
		c.Name = "next"
		e.ok(e.store.CreateClient(e.ctx, c))
		e.wantClient(issuerA, "client", c)
		e.createGrant("grant")
		e.wantDeleted("client", "grant")
	},
	"takes many grants along": func(e *env) {
		var want []string
		for i := range 300 {
			want = append(want, fmt.Sprintf("grant%03d", i))
		}
		now := e.clock.Now()
		var wg sync.WaitGroup
		for _, id := range want {
			wg.Go(func() {
				if err := e.store.CreateGrant(e.ctx, NewGrant(issuerA, id, now)); err != nil {
					e.Error(err)
				}
			})
		}
		wg.Wait()
		e.wantDeleted("client", want...)
		for _, id := range want {
			e.wantNoGrant(issuerA, id)
		}
	},
	"it survives a restart": func(e *env) {
		e.ok(e.tryCreate("client"))
		e.createLive("grant")
		e.reopen()
		e.wantDeleted("client", "grant")
		e.reopen()
		e.wantAbsent("client")
		e.wantGone("grant", "first")
		e.wantDeleted("client")
	},
}

// createGrantOf creates the grant "of <client>".
func (e *env) createGrantOf(client string) {
	e.Helper()
	g := NewGrant(issuerA, "of "+client, e.clock.Now())
	g.ClientID = client
	e.ok(e.store.CreateGrant(e.ctx, g))
}

// wantDeleted deletes a client and fails unless exactly these grants, sorted, are
// named.
func (e *env) wantDeleted(client string, grants ...string) {
	e.Helper()
	named, err := e.store.DeleteClient(e.ctx, issuerA, client)
	e.ok(err)
	slices.Sort(named)
	e.same(named, grants)
}
