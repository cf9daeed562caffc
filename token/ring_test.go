// SPDX-License-Identifier: Apache-2.0

package token_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

func key(b byte) token.Key {
	var k token.Key
	for i := range k {
		k[i] = b
	}
	return k
}

func TestSealRoundTrip(t *testing.T) {
	t.Parallel()
	r := token.NewRing(key(1))
	sealed := r.Seal(token.PurposeConsent, []byte("hello"), "https://a.example")
	got, err := r.Open(token.PurposeConsent, sealed, "https://a.example")
	if err != nil || string(got) != "hello" {
		t.Fatalf("Open = %q, %v", got, err)
	}
	if strings.Contains(sealed, "hello") {
		t.Error("plaintext shows in the sealed value")
	}
	if again := r.Seal(token.PurposeConsent, []byte("hello"), "https://a.example"); again == sealed {
		t.Error("two seals of the same value are equal: the nonce is not fresh")
	}
}

// An attacker takes a sealed value from where it was made for to where it would
// be worth more: a consent form sent as an access token, the form of one issuer
// sent to another, a value from another installation.
func TestSealedValueIsOnlyGoodForItsPurpose(t *testing.T) {
	t.Parallel()
	r := token.NewRing(key(1))
	sealed := r.Seal(token.PurposeConsent, []byte(`{"g":"x"}`), "https://a.example")
	for name, open := range map[string]func() ([]byte, error){
		"other purpose":    func() ([]byte, error) { return r.Open(token.PurposeAccess, sealed, "https://a.example") },
		"other associated": func() ([]byte, error) { return r.Open(token.PurposeConsent, sealed, "https://b.example") },
		"other key": func() ([]byte, error) {
			return token.NewRing(key(2)).Open(token.PurposeConsent, sealed, "https://a.example")
		},
		"trailing byte": func() ([]byte, error) { return r.Open(token.PurposeConsent, sealed+"A", "https://a.example") },
		"truncated":     func() ([]byte, error) { return r.Open(token.PurposeConsent, sealed[:20], "https://a.example") },
		"empty":         func() ([]byte, error) { return r.Open(token.PurposeConsent, "", "https://a.example") },
	} {
		if got, err := open(); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("%s: Open = %q, %v; want ErrInvalid", name, got, err)
		}
	}
}

func TestEveryBitOfASealedValueCounts(t *testing.T) {
	t.Parallel()
	r := token.NewRing(key(1))
	sealed := r.Seal(token.PurposeAccess, []byte("claims"), "x")
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range sealed {
		for j := range 6 {
			flipped := alphabet[strings.IndexByte(alphabet, sealed[i])^1<<j]
			forged := sealed[:i] + string(flipped) + sealed[i+1:]
			if _, err := r.Open(token.PurposeAccess, forged, "x"); err == nil {
				t.Fatalf("flipping bit %d of character %d is not noticed", j, i)
			}
		}
	}
}

func TestOldKeysAreAcceptedUntilTheyLeaveTheRing(t *testing.T) {
	t.Parallel()
	before := token.NewRing(key(1))
	sealed := before.Seal(token.PurposeAccess, []byte("v"), "")
	mac := before.MAC(token.PurposeCSRF, "a", "b")
	refresh := before.NewRefresh("grant")

	during := token.NewRing(key(2), key(1))
	if _, err := during.Open(token.PurposeAccess, sealed, ""); err != nil {
		t.Error("a value of the previous key is refused while the key is in the ring")
	}
	if !during.CheckMAC(token.PurposeCSRF, mac, "a", "b") {
		t.Error("a MAC of the previous key is refused")
	}
	if _, err := during.ParseRefresh(refresh); err != nil {
		t.Error("a refresh token of the previous key is refused")
	}

	after := token.NewRing(key(2))
	if _, err := after.Open(token.PurposeAccess, sealed, ""); err == nil {
		t.Error("a value of a removed key is accepted")
	}
	if after.CheckMAC(token.PurposeCSRF, mac, "a", "b") {
		t.Error("a MAC of a removed key is accepted")
	}
	if _, err := after.ParseRefresh(refresh); err == nil {
		t.Error("a refresh token of a removed key is accepted")
	}
}

// Without length prefixes a browser secret could lend bytes to the form it signs.
func TestMACPartsDoNotRunTogether(t *testing.T) {
	t.Parallel()
	r := token.NewRing(key(1))
	mac := r.MAC(token.PurposeCSRF, "ab", "c")
	for _, parts := range [][]string{{"a", "bc"}, {"abc"}, {"ab", "c", ""}, {"", "ab", "c"}, {"c", "ab"}} {
		if r.CheckMAC(token.PurposeCSRF, mac, parts...) {
			t.Errorf("MAC of (ab, c) is accepted for %q", parts)
		}
	}
	if r.CheckMAC(token.PurposeSession, mac, "ab", "c") {
		t.Error("MAC is accepted for another purpose")
	}
	if !r.CheckMAC(token.PurposeCSRF, mac, "ab", "c") {
		t.Error("the MAC itself is refused")
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	t.Parallel()
	k := key('K')
	for _, s := range []string{fmt.Sprint(k), fmt.Sprintf("%v %+v %#v %s", k, k, k, k)} {
		if strings.Contains(s, "KKK") || strings.Contains(s, "75") {
			t.Errorf("the key prints as %q", s)
		}
	}
}

func FuzzOpen(f *testing.F) {
	r := token.NewRing(key(1), key(2))
	f.Add(r.Seal(token.PurposeAccess, []byte("x"), "a"), "a")
	f.Add("", "")
	made := r.Seal(token.PurposeAccess, []byte("made"), "a")
	f.Fuzz(func(t *testing.T, sealed, associated string) {
		if got, err := r.Open(token.PurposeAccess, sealed, associated); err == nil && sealed != made && string(got) != "x" {
			t.Fatalf("accepted a value nobody made: %q", got)
		}
		_, _ = r.OpenAccess(sealed)
		_, _ = r.ParseCode(sealed)
		_, _ = r.ParseRefresh(sealed)
		r.CheckMAC(token.PurposeCSRF, sealed, associated)
	})
}
