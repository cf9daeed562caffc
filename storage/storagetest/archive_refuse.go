// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

var archiveRefuseTests = map[string]func(*env){
	// A restore into the wrong store would mix two sets of users.
	"a store with a record of any kind": func(e *env) {
		e.archive()
		now := e.clock.Now()
		for kind, create := range map[storage.Kind]func() error{
			storage.KindClient:  func() error { return e.store.CreateClient(e.ctx, NewClient(issuerA, "x", now)) },
			storage.KindPending: func() error { return e.store.CreatePending(e.ctx, NewPending(issuerA, "x", now)) },
			storage.KindAccount: func() error { return e.store.SaveAccount(e.ctx, NewAccount("x", now)) },
			storage.KindGrant:   func() error { return e.store.CreateGrant(e.ctx, NewGrant(issuerA, "x", now)) },
			storage.KindSession: func() error { return e.store.CreateSession(e.ctx, NewSession(issuerA, "x", now)) },
			storage.KindConsent: func() error { return e.store.SaveConsent(e.ctx, NewConsent(issuerA, "x", "github:1", now)) },
			storage.KindOnce:    func() error { return e.store.RememberOnce(e.ctx, issuerA, hash("x"), time.Hour) },
			storage.KindKey:     func() error { return e.store.CreateKey(e.ctx, NewKey(issuerA, "x", now)) },
		} {
			e.store = e.harness.Open(e.T, e.config)
			e.ok(create())
			before := e.export()
			e.same(len(before), 1)
			for _, entries := range [][]storage.Entry{nil, before, e.entriesOfEveryKind()} {
				if err := e.archive().Import(e.ctx, entriesOf(entries)); !errors.Is(err, storage.ErrNotEmpty) {
					e.Errorf("importing %d entries beside a %s: %v", len(entries), kind, err)
				}
			}
			e.wantEntries(before)
		}
	},
	"a second import": func(e *env) {
		e.archive()
		entries := e.entriesOfEveryKind()
		e.importInto(entries)
		e.wantErr(e.archive().Import(e.ctx, entriesOf(entries)), storage.ErrNotEmpty)
		e.wantEntries(entries)
	},
	// An archive is a file that lay somewhere: cut off, of a newer version, edited,
	// or not an archive at all.
	"what is no record": func(e *env) {
		e.archive()
		good := e.entriesOfEveryKind()
		kinds := map[storage.Kind]bool{}
		for _, entry := range good {
			kinds[entry.Kind] = true
		}
		for kind := range kinds {
			for name, data := range map[string]string{
				"empty": "", "only a version": "\x01", "cut off": "\x01" + `{"issuer":"x","i`, "of a newer version": "\x02{}", "no version": "{}",
				"a list": "\x01[]", "text": "\x01\"x\"", "two records": "\x01{}{}", "binary": "\x00\xff", "a wrong type": "\x01" + `{"issuer":[],"subject":[]}`,
			} {
				e.store = e.harness.Open(e.T, e.config)
				bad := append([]storage.Entry{good[0]}, storage.Entry{Kind: kind, Data: []byte(data)})
				err := e.archive().Import(e.ctx, entriesOf(append(bad, good[1:]...)))
				if !errors.Is(err, storage.ErrFormat) {
					e.Errorf("a %s that is %s: %v", kind, name, err)
				}
			}
		}
	},
	"what is of no kind": func(e *env) {
		e.archive()
		for _, kind := range []storage.Kind{"", "Grant", "grants", "grant ", "token", "grant\x00", "meta"} {
			e.store = e.harness.Open(e.T, e.config)
			entry := e.entriesOfEveryKind()[6]
			entry.Kind = kind
			if err := e.archive().Import(e.ctx, entriesOf([]storage.Entry{entry})); !errors.Is(err, storage.ErrFormat) {
				e.Errorf("kind %q: %v", kind, err)
			}
		}
	},
	"errors say nothing of what is in it": func(e *env) {
		e.archive()
		for _, data := range []string{"s3cret", "\x01s3cret", "\x01" + `{"token":"s3cret`, "\x01" + `{"subject":"a","checked_at":"s3cret"}`} {
			e.store = e.harness.Open(e.T, e.config)
			err := e.archive().Import(e.ctx, entriesOf([]storage.Entry{{Kind: storage.KindAccount, Data: []byte(data)}}))
			e.wantErr(err, storage.ErrFormat)
			if strings.Contains(err.Error(), "s3cret") {
				e.Errorf("error: %v", err)
			}
		}
	},
	"an archive that cannot be read to its end": func(e *env) {
		e.archive()
		cut := errors.New("the disk has a hole")
		e.store = e.harness.Open(e.T, e.config)
		err := e.archive().Import(e.ctx, func(yield func(storage.Entry, error) bool) {
			for i, entry := range e.entriesOfEveryKind() {
				if i == 5 {
					if yield(storage.Entry{}, cut) {
						e.Error("it reads on after an error")
					}
					return
				}
				if !yield(entry, nil) {
					return
				}
			}
		})
		e.wantErr(err, cut)
	},
	// Engines that cannot export one moment may come by a record twice.
	"not the same record twice, the later one counts": func(e *env) {
		e.archive()
		now := e.clock.Now()
		live := NewGrant(issuerA, "grant", now)
		e.ok(storage.Redeem(live, NewRedemption("grant"), now))
		account := newAccount(now)
		account.Revision = 8
		later := []storage.Entry{
			entryOf(e, storage.KindClient, NewClient(issuerA, "client", now)), entryOf(e, storage.KindAccount, account), entryOf(e, storage.KindGrant, live),
			entryOf(e, storage.KindSession, NewSession(issuerA, "cookie", now)),
		}
		account.Revision--
		earlier := []storage.Entry{
			entryOf(e, storage.KindAccount, account), entryOf(e, storage.KindGrant, NewGrant(issuerA, "grant", now)),
			entryOf(e, storage.KindSession, NewSession(issuerA, "cookie", now.Add(-time.Minute))), later[0],
		}
		e.importInto(append(earlier, later...))
		e.wantEntries(later)
		e.wantGrantsOf("github:583231", live)
	},
	"many entries are no hindrance": func(e *env) {
		e.archive()
		var entries []storage.Entry
		for i := range 3000 {
			entries = append(entries, entryOf(e, storage.KindAccount, NewAccount(fmt.Sprint(i), e.clock.Now())))
		}
		e.importInto(entries)
		e.wantEntries(entries)
	},
}
