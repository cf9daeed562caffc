// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"crypto/sha256"
	"encoding/json"
	"strings"
	"testing"
)

func TestHashTravelsAsText(t *testing.T) {
	t.Parallel()
	// The verifier and challenge of RFC 7636 Appendix B.
	h := Hash(sha256.Sum256([]byte("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")))
	text, err := h.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(text), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var back Hash
	if err := back.UnmarshalText(text); err != nil || back != h {
		t.Errorf("got %v, %v back", back, err)
	}
}

func TestHashRefusesOtherText(t *testing.T) {
	t.Parallel()
	good := "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	for name, text := range map[string]string{
		"empty": "", "short": good[:42], "long": good + "AA", "padded": good + "=", "other alphabet": strings.Replace(good, "-", "+", 1),
		"stray bits at the end": good[:42] + "N", "newline": good + "\n",
	} {
		before := Hash{1, 2, 3}
		h := before
		if err := h.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if h != before {
			t.Errorf("%s: changed the hash beside an error", name)
		}
	}
}

func TestHashEqual(t *testing.T) {
	t.Parallel()
	a := Hash(sha256.Sum256([]byte("a")))
	if !a.Equal(a) || !(Hash{}).Equal(Hash{}) {
		t.Error("a hash differs from itself")
	}
	for i := range a {
		b := a
		b[i] ^= 0x80
		if a.Equal(b) {
			t.Errorf("a difference in byte %d is overlooked", i)
		}
	}
}

// A public client has no secret: the field must be left out, not be a text that
// looks like one.
func TestZeroHashIsLeftOut(t *testing.T) {
	t.Parallel()
	raw, err := json.Marshal(Client{})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), "secret_hash") {
		t.Errorf("got %s", raw)
	}
}
