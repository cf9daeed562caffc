// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"bytes"
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// future is a field of a version to come.
const future = `"future":{"list":[1,2.50,"x"],"big":12345678901234567890}`

// archive is the store's archive; a store without one has nothing to test.
func (e *env) archive() storage.Archive {
	e.Helper()
	a, ok := e.store.(storage.Archive)
	if !ok {
		e.Skip("the store is no storage.Archive")
	}
	return a
}

// export returns all entries, sorted.
func (e *env) export() []storage.Entry {
	e.Helper()
	return e.collect(e.archive().Export(e.ctx))
}

func (e *env) collect(seq iter.Seq2[storage.Entry, error]) []storage.Entry {
	e.Helper()
	var all []storage.Entry
	for entry, err := range seq {
		e.ok(err)
		all = append(all, entry)
	}
	sortEntries(all)
	for i := 1; i < len(all); i++ {
		if compareEntries(all[i-1], all[i]) == 0 {
			e.Errorf("a %s came twice", all[i].Kind)
		}
	}
	return all
}

func compareEntries(a, b storage.Entry) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), bytes.Compare(a.Data, b.Data))
}

func sortEntries(entries []storage.Entry) { slices.SortFunc(entries, compareEntries) }

// entriesOf yields entries as a file does that is read through one buffer: the
// bytes of one are gone when the next is asked for.
func entriesOf(entries []storage.Entry) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		var buffer []byte
		for _, entry := range entries {
			buffer = append(buffer[:0], entry.Data...)
			if !yield(storage.Entry{Kind: entry.Kind, Data: buffer}, nil) {
				return
			}
			for i := range buffer {
				buffer[i] = 'x'
			}
		}
	}
}

// importInto replaces the store by an empty one and imports entries into it.
func (e *env) importInto(entries []storage.Entry) {
	e.Helper()
	e.store = e.harness.Open(e.T, e.config)
	e.ok(e.archive().Import(e.ctx, entriesOf(entries)))
}

func (e *env) wantEntries(want []storage.Entry) {
	e.Helper()
	want = slices.Clone(want)
	sortEntries(want)
	e.same(texts(e.export()), texts(want))
}

// texts shows entries for a comparison that can be read.
func texts(entries []storage.Entry) []string {
	var all []string
	for _, entry := range entries {
		all = append(all, string(entry.Kind)+" "+string(entry.Data))
	}
	return all
}

func entryOf[R storage.Record](e *env, kind storage.Kind, rec *R) storage.Entry {
	e.Helper()
	data, err := storage.Encode(rec)
	e.ok(err)
	return storage.Entry{Kind: kind, Data: data}
}

// entriesOfEveryKind are some of every kind, each with a field of a newer version.
func (e *env) entriesOfEveryKind() []storage.Entry {
	e.Helper()
	now := e.clock.Now()
	kept := NewClient(issuerA, "kept", now)
	kept.ExpiresAt = time.Time{}
	live := NewGrant(issuerA, "live", now)
	e.ok(storage.Redeem(live, NewRedemption("live"), now))
	rotated := NewGrant(issuerB, "rotated", now)
	e.ok(storage.Redeem(rotated, NewRedemption("rotated"), now))
	_, err := storage.Rotate(rotated, rotation("first", "n1"), now)
	e.ok(err)
	account := newAccount(now)
	account.Revision = 7
	all := []storage.Entry{
		entryOf(e, storage.KindClient, NewClient(issuerA, "client", now)),
		entryOf(e, storage.KindClient, NewClient(issuerB, "client", now)),
		entryOf(e, storage.KindClient, kept),
		entryOf(e, storage.KindPending, NewPending(issuerA, "state", now)),
		entryOf(e, storage.KindAccount, account),
		entryOf(e, storage.KindAccount, NewAccount("2", now)),
		entryOf(e, storage.KindGrant, NewGrant(issuerA, "unredeemed", now)),
		entryOf(e, storage.KindGrant, live),
		entryOf(e, storage.KindGrant, rotated),
		entryOf(e, storage.KindSession, NewSession(issuerA, "cookie", now)),
		entryOf(e, storage.KindConsent, NewConsent(issuerA, "decision", "github:583231", now)),
		entryOf(e, storage.KindOnce, &storage.Once{Issuer: issuerA, ID: hash("jti"), ExpiresAt: now.Add(time.Hour)}),
		entryOf(e, storage.KindKey, NewKey(issuerA, "2026-03", now)),
		entryOf(e, storage.KindKey, NewKey(issuerB, "2026-03", now)),
	}
	for i, entry := range all {
		all[i].Data = append(bytes.TrimSuffix(entry.Data, []byte("}")), ","+future+"}"...)
	}
	return all
}

func (e *env) hostileEntries() []storage.Entry {
	e.Helper()
	var all []storage.Entry
	for name, text := range hostileTexts() {
		g := NewGrant(issuerA, text, e.clock.Now())
		g.Subject, g.ClientID, g.Scopes = text, text, []string{text}
		a := newAccount(e.clock.Now())
		a.Subject, a.Token = text, text
		p := NewPending(issuerA, name, e.clock.Now())
		p.Request.State = text
		all = append(all,
			entryOf(e, storage.KindGrant, g), entryOf(e, storage.KindAccount, a), entryOf(e, storage.KindPending, p),
			entryOf(e, storage.KindClient, NewClient(text, text, e.clock.Now())), entryOf(e, storage.KindKey, NewKey(text, text, e.clock.Now())),
			entryOf(e, storage.KindConsent, NewConsent(text, name, text, e.clock.Now())))
	}
	return all
}
