// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"crypto"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// FuzzIDTokenAgainstGoOIDC: whatever is accepted here, another implementation accepts
// too, for the same user. It may well accept more.
func FuzzIDTokenAgainstGoOIDC(f *testing.F) {
	c := newClock()
	now := c.now().Unix()
	good := fmt.Sprintf(`"iss":%q,"aud":%q,"sub":"alice-1","iat":%d,"exp":%d,"nonce":"n"`, theIssuer, theClient, now, now+300)
	for _, s := range []string{
		"{" + good + "}",
		"{" + good + `,"nbf":` + fmt.Sprint(now) + "}",
		"{" + good + `,"azp":"gateway"}`,
		"{" + good + `,"sub":"root-1"}`,
		"{" + good + `,"SUB":"root-1"}`,
		strings.Replace("{"+good+"}", `"gateway"`, `["gateway","other"]`, 1),
		strings.Replace("{"+good+"}", `"gateway"`, `["other"]`, 1),
		strings.Replace("{"+good+"}", `"exp":`, `"exp":0.5e1,"x":`, 1),
		strings.Replace("{"+good+"}", `"exp":`, `"exp":-`, 1),
		strings.Replace("{"+good+"}", theIssuer, theIssuer+"/", 1),
		"{}", "null", "[]", "",
	} {
		f.Add([]byte(s))
	}
	p := newProvider(c.now)
	o, err := New(Config{Name: "company", Issuer: theIssuer, ClientID: theClient, Now: c.now})
	if err != nil {
		f.Fatal(err)
	}
	o.client.Transport = p
	other := oidc.NewVerifier(theIssuer, &oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{keyA().public()}}, &oidc.Config{
		ClientID: theClient, SupportedSigningAlgs: []string{"ES256"},
		Now: func() time.Time { return c.now().Add(-leeway) }, // it has none of its own
	})
	f.Fuzz(func(t *testing.T, payload []byte) {
		jwt := keyA().signBytes(payload)
		ours, err := o.verifyIDToken(t.Context(), jwt, theAccess)
		if err != nil || readsDifferently(payload) {
			return
		}
		theirs, err := other.Verify(t.Context(), jwt)
		if err != nil {
			t.Fatalf("only we accept %q: %v", payload, err)
		}
		if theirs.Subject != ours.subject || theirs.Nonce != ours.nonce {
			t.Errorf("%q: they say subject %q, nonce %q; we say %q, %q", payload, theirs.Subject, theirs.Nonce, ours.subject, ours.nonce)
		}
	})
}

// readsDifferently reports what the other reader, encoding/json, takes in another way
// than it is written: names in other letter case, and claims that we do not look at
// and that it wants to have a certain type.
func readsDifferently(payload []byte) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal(payload, &members) != nil {
		return false
	}
	seen := map[string]bool{}
	for name := range members {
		lower := strings.ToLower(name)
		if seen[lower] || lower == "_claim_names" || lower == "_claim_sources" || strings.ContainsFunc(name, func(c rune) bool { return c > '~' }) {
			return true
		}
		seen[lower] = true
	}
	var nonce string
	raw, ok := members["nonce"]
	return ok && json.Unmarshal(raw, &nonce) != nil
}

// TestOracleAccepts what a provider sends, or the comparison proves nothing.
func TestOracleAccepts(t *testing.T) {
	t.Parallel()
	p := newProvider(time.Now)
	in := mustSignIn(t, p, p.connect(t))
	verifier := oidc.NewVerifier(theIssuer, &oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{keyA().public()}},
		&oidc.Config{ClientID: theClient, SupportedSigningAlgs: []string{"ES256"}})
	if id, err := verifier.Verify(t.Context(), in.Token.ID); err != nil || id.Subject != in.Identity.ID {
		t.Errorf("error %v", err)
	}
}
