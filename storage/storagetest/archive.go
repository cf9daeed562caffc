// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"context"
	"strings"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

var archiveTests = map[string]func(*env){
	"of an empty store is empty, and can be imported": func(e *env) {
		e.archive()
		e.wantEntries(nil)
		e.importInto(nil)
		e.wantEntries(nil)
		e.seed()
	},
	// A backup made by a newer version is restored by this one: what it does not
	// know must be there for the next upgrade.
	"every record of every kind comes back byte for byte": func(e *env) {
		e.archive()
		want := e.entriesOfEveryKind()
		e.importInto(want)
		e.wantEntries(want)
		e.reopen()
		e.wantEntries(want)
		e.importInto(e.export())
		e.wantEntries(want)
	},
	"hostile texts come back byte for byte": func(e *env) {
		e.archive()
		want := e.hostileEntries()
		e.importInto(want)
		e.wantEntries(want)
	},
	"what verbs stored is in it, and what they ended is not": func(e *env) {
		e.archive()
		e.seed()
		e.ok(e.store.RevokeGrant(e.ctx, issuerA, "revoked"))
		e.ok(e.store.DeleteSession(e.ctx, issuerA, hash("over")))
		_, err := e.store.TakePending(e.ctx, issuerA, hash("state"))
		e.ok(err)
		before, entries := e.snapshot(), e.export()
		kinds := map[storage.Kind]int{}
		for _, entry := range entries {
			kinds[entry.Kind]++
		}
		e.same(kinds, map[storage.Kind]int{
			storage.KindClient: 1, storage.KindAccount: 3, storage.KindGrant: 2, storage.KindSession: 2,
			storage.KindConsent: 2, storage.KindOnce: 1, storage.KindKey: 1,
		})
		e.importInto(entries)
		e.same(e.snapshot(), before)
		e.reopen()
		e.same(e.snapshot(), before)
	},
	"what is past its end is not in it and does not come back": func(e *env) {
		e.archive()
		e.seed()
		old := e.export()
		e.clock.Advance(20 * 365 * 24 * time.Hour)
		e.createLive("young")
		for _, entry := range e.export() {
			if entry.Kind != storage.KindAccount && !(entry.Kind == storage.KindGrant && strings.Contains(string(entry.Data), "young")) {
				e.Errorf("%s of 20 years ago: %s", entry.Kind, entry.Data[1:])
			}
		}
		e.importInto(old)
		for _, entry := range e.export() {
			if entry.Kind != storage.KindAccount {
				e.Errorf("imported %s of 20 years ago: %s", entry.Kind, entry.Data[1:])
			}
		}
		e.wantGone("grant", "first")
		e.wantNoSession(issuerA, "cookie")
	},
	// Nobody gets a second chance by a restore: what was used is used.
	"codes, refresh secrets and used ids are as used as before": func(e *env) {
		e.archive()
		e.createGrant("unredeemed")
		e.createLive("redeemed")
		e.createLive("grant")
		e.wantRotated("first", "n1", "first+n1")
		e.wantRotated("first+n1", "n2", "first+n1+n2")
		e.createLive("stolen")
		e.wantOnce("jti", time.Hour)
		e.importInto(e.export())

		_, err := e.store.RedeemCode(e.ctx, issuerA, "redeemed", NewRedemption("redeemed"))
		e.wantErr(err, storage.ErrReplay)
		_, err = e.store.RedeemCode(e.ctx, issuerA, "unredeemed", NewRedemption("unredeemed"))
		e.ok(err)
		_, err = e.store.RedeemCode(e.ctx, issuerA, "unredeemed", NewRedemption("unredeemed"))
		e.wantErr(err, storage.ErrReplay)
		e.wantRepeat("first+n1", "first+n1+n2")
		e.wantRotated("first+n1+n2", "n3", "first+n1+n2+n3")
		e.clock.Advance(2 * time.Minute)
		_, err = e.store.RotateRefresh(e.ctx, issuerA, "grant", rotation("first", "n"))
		e.wantErr(err, storage.ErrReuse)
		e.wantGone("grant", "first", "first+n1", "first+n1+n2")
		_, err = e.store.RotateRefresh(e.ctx, issuerA, "stolen", rotation("never current", "n"))
		e.wantErr(err, storage.ErrReuse)
		e.wantUsed("jti", time.Hour)
	},
	"verbs about the records of one owner find what was imported": func(e *env) {
		e.archive()
		live := e.createLive("live")
		e.createGrantFor(issuerB, "elsewhere", "github:2")
		e.createSessionOf(issuerA, "one", "github:1")
		e.createSessionOf(issuerB, "two", "github:1")
		e.saveConsent("decision", "github:1")
		k := e.createKey(issuerA, "2026-03")
		accounts := e.saveAccounts("a", 5)
		e.importInto(e.export())

		e.same(e.allAccounts(2), accounts)
		e.wantAccount(NewAccount("a001", e.clock.Now()), 1)
		e.wantKeys(issuerA, k)
		e.wantGrantsOf("github:583231", live)
		e.wantDeleted("client", "live")
		e.wantGrantsOf("github:583231")
		e.ok(e.store.DeleteSessions(e.ctx, "github:1"))
		e.wantNoSession(issuerA, "one")
		e.wantNoSession(issuerB, "two")
		e.ok(e.store.DeleteConsents(e.ctx, issuerA, "github:1"))
		e.wantNoConsent(issuerA, "decision")
	},
	"unused clients that were imported count": func(e *env) {
		e.limit(2)
		e.archive()
		e.createClients("c", 2)
		entries := e.export()
		e.importInto(entries)
		e.wantErr(e.tryCreate("d"), storage.ErrFull)
		e.ok(e.store.KeepClient(e.ctx, issuerA, "c1"))
		e.ok(e.tryCreate("d"))
		e.wantErr(e.tryCreate("f"), storage.ErrFull)
	},
	"ends that were imported come": func(e *env) {
		e.archive()
		e.seed()
		e.importInto(e.export())
		e.clock.Advance(refreshTTL + time.Hour)
		e.sweep()
		e.wantGone("grant", "first")
		e.wantKeys(issuerA)
		e.ok(e.tryCreate("client"))
		e.createLive("grant")
	},
	"revisions go on from where they were": func(e *env) {
		e.archive()
		for range 3 {
			e.ok(e.store.SaveAccount(e.ctx, newAccount(e.clock.Now())))
		}
		ofOld := []byte("\x01" + `{"subject":"old","identity":{"upstream":"github","kind":"github","id":"1"},"checked_at":"2026-03-01T12:00:00Z"}`)
		e.importInto(append(e.export(), storage.Entry{Kind: storage.KindAccount, Data: ofOld}))
		a := newAccount(e.clock.Now())
		a.Revision = 2
		e.wantErr(e.store.ReplaceAccount(e.ctx, a), storage.ErrChanged)
		a.Revision = 3
		e.ok(e.store.ReplaceAccount(e.ctx, a))
		e.wantAccount(a, 4)
		// One of before there were revisions has been stored nought times.
		a.Subject, a.Revision = "old", 0
		e.ok(e.store.ReplaceAccount(e.ctx, a))
		e.wantAccount(a, 1)
	},
	"verbs keep the fields of a newer version": func(e *env) {
		e.archive()
		e.importInto(e.entriesOfEveryKind())
		e.ok(e.store.KeepClient(e.ctx, issuerA, "client"))
		e.ok(e.store.SaveAccount(e.ctx, newAccount(e.clock.Now())))
		_, err := e.store.RedeemCode(e.ctx, issuerA, "unredeemed", NewRedemption("unredeemed"))
		e.ok(err)
		_, err = e.store.RotateRefresh(e.ctx, issuerA, "live", rotation("first", "n1"))
		e.ok(err)
		e.ok(e.store.TouchSession(e.ctx, issuerA, hash("cookie"), 2*sessionIdle))
		e.ok(e.store.SaveConsent(e.ctx, NewConsent(issuerA, "decision", "github:583231", e.clock.Now())))
		e.ok(e.store.ReplaceKey(e.ctx, NewKey(issuerA, "2026-03", e.clock.Now())))
		for _, entry := range e.export() {
			if !strings.Contains(string(entry.Data), future) {
				e.Errorf("a %s lost the field of a newer version: %s", entry.Kind, entry.Data[1:])
			}
		}
	},
	"whoever reads it may stop": func(e *env) {
		a := e.archive()
		e.seed()
		for range 3 {
			for _, err := range a.Export(e.ctx) {
				e.ok(err)
				break
			}
		}
		e.wantReturn(func() { e.isErr(e.store.SaveAccount(e.ctx, newAccount(e.clock.Now())), nil) })
		e.wantReturn(func() { e.isErr(e.store.Close(), nil) })
	},
	// A sequence can be ranged over again: each time is an export of its own.
	"it can be read twice": func(e *env) {
		a := e.archive()
		entries := a.Export(e.ctx)
		e.ok(e.store.SaveAccount(e.ctx, NewAccount("1", e.clock.Now())))
		e.same(len(e.collect(entries)), 1)
		e.ok(e.store.SaveAccount(e.ctx, NewAccount("2", e.clock.Now())))
		e.same(len(e.collect(entries)), 2)
	},
	"a context that is done ends it": func(e *env) {
		a := e.archive()
		e.seed()
		ctx, cancel := context.WithCancel(e.ctx)
		defer cancel()
		e.isErr(a.Import(ctx, entriesOf(nil)), storage.ErrNotEmpty)
		n := 0
		for _, err := range a.Export(ctx) {
			if n++; err != nil {
				e.wantErr(err, context.Canceled)
				break
			}
			cancel()
		}
		if n < 2 {
			e.Fatal("a cancelled export ended as if it were whole")
		}
		e.store = e.harness.Open(e.T, e.config)
		e.wantErr(e.archive().Import(ctx, entriesOf(e.entriesOfEveryKind())), context.Canceled)
	},
	"closed it answers ErrClosed": func(e *env) {
		a := e.archive()
		e.seed()
		e.ok(e.store.Close())
		n := 0
		for entry, err := range a.Export(e.ctx) {
			n++
			e.wantErr(err, storage.ErrClosed)
			e.same(entry, storage.Entry{})
		}
		e.same(n, 1)
		e.wantErr(a.Import(e.ctx, entriesOf(nil)), storage.ErrClosed)
	},
}
