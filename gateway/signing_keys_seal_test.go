// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// The attack: somebody can write to the store, but has no encryption key. Whatever is
// moved or written there, no key of theirs signs or is published, and no key of one
// issuer signs for another.
func TestTamperedKeyRecords(t *testing.T) {
	t.Parallel()
	mine, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	myKid, myPublic, _ := publicJWK(&mine.PublicKey)
	myDER, _ := x509.MarshalPKCS8PrivateKey(mine)
	attackers := token.NewRing(token.Key{66})
	for name, change := range map[string]func(k *storage.Key, other storage.Key){
		"the key of another issuer": func(k *storage.Key, other storage.Key) {
			k.Private, k.Public, k.KeyID = other.Private, other.Public, other.KeyID
		},
		"all of another issuer's record": func(k *storage.Key, other storage.Key) {
			issuer := k.Issuer
			*k = other
			k.Issuer = issuer
		},
		"another period": func(k *storage.Key, _ storage.Key) { k.ID = "701" },
		"my public half": func(k *storage.Key, _ storage.Key) { k.Public, k.KeyID = myPublic, myKid },
		"my pair, sealed with my key": func(k *storage.Key, _ storage.Key) {
			k.Public, k.KeyID, k.Private = myPublic, myKid, attackers.Seal(token.PurposeSigningKey, myDER, sealedAs(k))
		},
		"my pair, in the clear": func(k *storage.Key, _ storage.Key) { k.Public, k.KeyID, k.Private = myPublic, myKid, string(myDER) },
		"another key id":        func(k *storage.Key, _ storage.Key) { k.KeyID = "admin" },
		"nothing":               func(k *storage.Key, _ storage.Key) { k.Private = "" },
		"a cut value":           func(k *storage.Key, _ storage.Key) { k.Private = k.Private[:len(k.Private)-4] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shelf := &keyShelf{}
			b := newKeyBed(t, shelf)
			genuine := b.kid()
			other, err := b.st.keys.of("https://other.example").signer(t.Context(), b.Now())
			if err != nil {
				t.Fatal(err)
			}
			shelf.edit(func(keys []storage.Key) []storage.Key {
				change(&keys[0], keys[1])
				return keys
			})
			fresh := newKeyBed(t, shelf) // restarted: nothing is in memory
			kid := fresh.kid()
			if kid == myKid || kid == other.kid || kid == genuine || kid == "admin" {
				t.Errorf("key %s signs", kid)
			}
			if published := fresh.publishedKids(); !slices.Equal(published, []string{kid}) {
				t.Errorf("published %v", published)
			}
			if !strings.Contains(fresh.log.String(), "signing key left out") {
				t.Errorf("log: %s", fresh.log)
			}
		})
	}
}

// Only the public half differs from the private one: what is published is made from
// the private one, which was authenticated.
func TestPublicHalfIsNotBelieved(t *testing.T) {
	t.Parallel()
	shelf := &keyShelf{}
	kid := newKeyBed(t, shelf).kid()
	mine, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, myPublic, _ := publicJWK(&mine.PublicKey)
	shelf.edit(func(keys []storage.Key) []storage.Key { keys[0].Public = myPublic; return keys })
	fresh := newKeyBed(t, shelf)
	set, err := fresh.keys.published(t.Context(), fresh.Now())
	if err != nil || len(set.keys) != 1 || set.keys[0].kid != kid || strings.Contains(string(set.jwks.body), string(myPublic)) {
		t.Errorf("published %s, %v", set.jwks.body, err)
	}
}

// The encryption key was replaced and the old one is gone. A new signing key is made
// for the same period, the old one is neither used nor published, and another restart
// makes no further one.
func TestEncryptionKeyReplaced(t *testing.T) {
	t.Parallel()
	shelf := &keyShelf{}
	first := newKeyBed(t, shelf, token.Key{1}).kid()
	second := newKeyBed(t, shelf, token.Key{2})
	kid := second.kid()
	if kid == first || !slices.Equal(second.publishedKids(), []string{kid}) {
		t.Errorf("key %s signs after %s", kid, first)
	}
	if again := newKeyBed(t, shelf, token.Key{2}).kid(); again != kid {
		t.Error("a restart made another key")
	}
	third := newKeyBed(t, shelf, token.Key{3}).kid()
	if both := newKeyBed(t, shelf, token.Key{3}, token.Key{2}, token.Key{1}); both.kid() != third || len(both.publishedKids()) != 3 {
		t.Errorf("with all keys %v", both.publishedKids())
	}
	var ids []string
	for _, k := range shelf.keys {
		ids = append(ids, k.ID)
	}
	if !slices.Equal(ids, []string{"700", "700.1", "700.2"}) {
		t.Errorf("ids %q", ids)
	}
	if n := strings.Count(second.log.String(), "left out"); n != 1 {
		t.Errorf("%d log lines about one key", n)
	}
}

// A reload replaces the encryption key under a gateway that is running. With the old
// one kept, nothing changes, even while the store is away; without it, what it had
// sealed signs no more.
func TestReloadWithAnotherEncryptionKey(t *testing.T) {
	t.Parallel()
	b := newKeyBed(t, &keyShelf{}, token.Key{1})
	kid := b.kid()
	b.shelf.down(errStoreAway)
	b.st.SetRing(token.NewRing(token.Key{2}, token.Key{1}))
	if got := b.kid(); got != kid || !slices.Equal(b.publishedKids(), []string{kid}) {
		t.Errorf("key %s signs after %s", got, kid)
	}
	b.st.SetRing(token.NewRing(token.Key{2}))
	if k, err := b.keys.signer(t.Context(), b.Now()); err == nil {
		t.Errorf("key %s still signs", k.kid)
	}
	b.shelf.down(nil)
	if got := b.kid(); got == kid || !slices.Equal(b.publishedKids(), []string{got}) {
		t.Errorf("key %s still signs", got)
	}
}

func TestResealSigningKeys(t *testing.T) {
	t.Parallel()
	shelf := &keyShelf{}
	b := newKeyBed(t, shelf, token.Key{1})
	kid := b.kid()
	if _, err := b.st.keys.of("https://other.example").signer(t.Context(), b.Now()); err != nil {
		t.Fatal(err)
	}
	newKeyBed(t, shelf, token.Key{9}).kid() // one that nobody else can open
	reseal := func(want int) {
		t.Helper()
		if n, err := b.st.ResealSigningKeys(t.Context(), testIssuer); n != want || err != nil {
			t.Errorf("%d, %v, want %d", n, err, want)
		}
	}
	reseal(0)
	b.st.SetRing(token.NewRing(token.Key{2}, token.Key{1}))
	shelf.down(errStoreAway)
	if n, err := b.st.ResealSigningKeys(t.Context(), testIssuer); n != 0 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
	shelf.down(nil)
	reseal(1)
	reseal(0)
	// The old encryption key can go.
	if got := newKeyBed(t, shelf, token.Key{2}).kid(); got != kid {
		t.Error("another key signs")
	}
	// And only this issuer's was touched.
	ring := token.NewRing(token.Key{1})
	for _, k := range shelf.keys {
		if k.Issuer == "https://other.example" && !ring.Current(k.Private) {
			t.Error("the key of another issuer was sealed again")
		}
	}
}

// Two gateways, of which only one has the new encryption key yet. It seals the keys
// again; the other one keeps what it holds, and does not make new ones.
func TestResealUnderAGatewayWithTheOldKey(t *testing.T) {
	t.Parallel()
	shelf := &keyShelf{}
	late := newKeyBed(t, shelf, token.Key{1})
	kid := late.kid()
	early := newKeyBed(t, shelf, token.Key{2}, token.Key{1})
	if _, err := early.st.ResealSigningKeys(t.Context(), testIssuer); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		late.set(late.Now().Add(2 * keyRefresh))
		if got := late.publishedKids(); late.kid() != kid || !slices.Equal(got, []string{kid}) {
			t.Errorf("published %v", got)
		}
	}
	if len(shelf.keys) != 1 {
		t.Errorf("%d keys", len(shelf.keys))
	}
}

// FuzzOpenKey: whatever was sealed, by us or a newer version of us, opening it neither
// panics nor yields a key that is not P-256.
func FuzzOpenKey(f *testing.F) {
	ring := token.NewRing(token.Key{1})
	add := func(key any) {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	for _, key := range []any{p256, p384, ed, rsaKey} {
		add(key)
	}
	f.Add([]byte{})
	kid, _, _ := publicJWK(&p256.PublicKey)
	f.Fuzz(func(t *testing.T, der []byte) {
		rec := &storage.Key{Issuer: testIssuer, ID: "700", KeyID: kid, SignsFrom: time.Unix(1, 0)}
		rec.Private = ring.Seal(token.PurposeSigningKey, der, sealedAs(rec))
		k, err := openKey(ring, testIssuer, rec)
		if err == nil && (k.kid != kid || !strings.Contains(string(k.public), `"crv":"P-256"`)) {
			t.Errorf("opened %s", k.public)
		}
		if err != nil && strings.Contains(err.Error(), string(der)) && len(der) > 8 {
			t.Error("the error shows the key")
		}
	})
}
