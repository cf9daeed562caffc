// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
)

// RFC 7636 appendix B.
const (
	rfcVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	rfcChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

func TestVerifyS256AppendixB(t *testing.T) {
	t.Parallel()
	if !VerifyS256(rfcChallenge, rfcVerifier) {
		t.Error("the vector of RFC 7636 appendix B does not verify")
	}
}

func TestVerifyS256Refuses(t *testing.T) {
	t.Parallel()
	padded := base64.URLEncoding.EncodeToString(make([]byte, 32))
	tests := map[string]struct{ challenge, verifier string }{
		"another verifier":      {rfcChallenge, strings.Repeat("a", 43)},
		"last character":        {rfcChallenge, rfcVerifier[:42] + "l"},
		"case of the challenge": {strings.ToLower(rfcChallenge), rfcVerifier},
		"no verifier":           {rfcChallenge, ""},
		"no challenge":          {"", rfcVerifier},
		"nothing at all":        {"", ""},
		// The downgrade: a server that compares as `plain` lets whoever saw the
		// challenge in the URL redeem the code.
		"plain":             {rfcVerifier, rfcVerifier},
		"challenge itself":  {rfcChallenge, rfcChallenge},
		"padded":            {padded, rfcVerifier},
		"verifier too long": {rfcChallenge, strings.Repeat("a", 129)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if VerifyS256(tt.challenge, tt.verifier) {
				t.Error("verified")
			}
		})
	}
}

func TestValidVerifier(t *testing.T) {
	t.Parallel()
	valid := []string{rfcVerifier, strings.Repeat("a", 43), strings.Repeat("~", 128), strings.Repeat("-._~", 11)}
	invalid := []string{
		"", strings.Repeat("a", 42), strings.Repeat("a", 129), strings.Repeat("a", 42) + "+",
		strings.Repeat("a", 42) + "=", strings.Repeat("a", 42) + " ", strings.Repeat("é", 43),
		strings.Repeat("a", 43) + "\n", strings.Repeat("a", 43) + "\x00", strings.Repeat("a", 42) + "%",
	}
	for _, s := range valid {
		if !ValidVerifier(s) {
			t.Errorf("ValidVerifier(%q) = false", s)
		}
	}
	for _, s := range invalid {
		if ValidVerifier(s) {
			t.Errorf("ValidVerifier(%q) = true", s)
		}
	}
}

func TestValidChallenge(t *testing.T) {
	t.Parallel()
	for _, s := range []string{rfcChallenge, strings.Repeat("_", 43), strings.Repeat("A-", 21) + "A"} {
		if !ValidChallenge(s) {
			t.Errorf("ValidChallenge(%q) = false", s)
		}
	}
	for _, s := range []string{
		"", rfcChallenge + "=", rfcChallenge[:42], rfcChallenge + "A", rfcChallenge[:42] + "+",
		rfcChallenge[:42] + "/", rfcChallenge[:42] + ".", rfcChallenge[:42] + "~", rfcChallenge[:41] + "é",
	} {
		if ValidChallenge(s) {
			t.Errorf("ValidChallenge(%q) = true", s)
		}
	}
}

func FuzzVerifyS256(f *testing.F) {
	f.Add(rfcChallenge, rfcVerifier)
	f.Add("", "")
	f.Fuzz(func(t *testing.T, challenge, verifier string) {
		sum := sha256.Sum256([]byte(verifier))
		right := base64.RawURLEncoding.EncodeToString(sum[:])
		if VerifyS256(challenge, verifier) && challenge != right {
			t.Fatalf("%q accepted for %q", challenge, verifier)
		}
		if VerifyS256(right, verifier) != ValidVerifier(verifier) {
			t.Fatalf("verifier %q: syntax and verification disagree", verifier)
		}
	})
}
