// SPDX-License-Identifier: Apache-2.0

package keyset_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/keyset"
)

var algorithms = []string{"RS256", "PS256", "ES256", "EdDSA"}

// keys are made once: RSA takes its time.
var keys = sync.OnceValue(func() map[string]crypto.Signer {
	must := func(s crypto.Signer, err error) crypto.Signer {
		if err != nil {
			panic(err)
		}
		return s
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	return map[string]crypto.Signer{
		"rsa":   must(rsa.GenerateKey(rand.Reader, 2048)),
		"weak":  must(rsa.GenerateKey(rand.Reader, 1024)),
		"ec":    must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		"ec384": must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		"ed":    must(ed, err),
	}
})

func jwk(name, id, alg string) string {
	b, err := json.Marshal(jose.JSONWebKey{Key: keys()[name].Public(), KeyID: id, Algorithm: alg, Use: "sig"})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func set(members ...string) string { return `{"keys":[` + strings.Join(members, ",") + `]}` }

func parse(t *testing.T, raw string) *keyset.Set {
	t.Helper()
	s, err := keyset.Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sign(t *testing.T, name, id string, alg jose.SignatureAlgorithm, payload string) string {
	t.Helper()
	opts := &jose.SignerOptions{}
	if id != "" {
		opts.WithHeader("kid", id)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: keys()[name]}, opts)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := s.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	out, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestVerify(t *testing.T) {
	t.Parallel()
	s := parse(t, set(jwk("rsa", "r1", ""), jwk("ec", "e1", "ES256"), jwk("ed", "d1", "EdDSA")))
	for _, tt := range []struct {
		key, id string
		alg     jose.SignatureAlgorithm
	}{
		{"rsa", "r1", jose.RS256}, {"rsa", "r1", jose.PS256}, {"rsa", "", jose.RS256}, {"ec", "e1", jose.ES256}, {"ec", "", jose.ES256}, {"ed", "d1", jose.EdDSA},
	} {
		got, err := s.Verify(sign(t, tt.key, tt.id, tt.alg, "payload"), algorithms)
		if err != nil || string(got) != "payload" {
			t.Errorf("%+v: %q, %v", tt, got, err)
		}
	}
	for name, tt := range map[string]struct {
		jws  string
		want error
	}{
		"a key that is not there":   {sign(t, "ec", "e2", jose.ES256, "x"), keyset.ErrUnknownKey},
		"the id of another key":     {sign(t, "rsa", "e1", jose.RS256, "x"), keyset.ErrUnknownKey},
		"a signature by another":    {sign(t, "weak", "r1", jose.RS256, "x"), keyset.ErrSignature},
		"no JWS":                    {"x", keyset.ErrSignature},
		"nothing":                   {"", keyset.ErrSignature},
		"an algorithm not allowed":  {sign(t, "rsa", "r1", jose.RS512, "x"), keyset.ErrSignature},
		"another curve":             {sign(t, "ec384", "e1", jose.ES384, "x"), keyset.ErrSignature},
		"the payload was exchanged": {swapPayload(sign(t, "rsa", "r1", jose.RS256, "x"), "y"), keyset.ErrSignature},
	} {
		if got, err := s.Verify(tt.jws, algorithms); !errors.Is(err, tt.want) || got != nil {
			t.Errorf("%s: %q, %v, want %v", name, got, err, tt.want)
		}
	}
	if _, err := s.Verify(sign(t, "rsa", "r1", jose.RS256, "x"), []string{"ES256"}); !errors.Is(err, keyset.ErrSignature) {
		t.Errorf("an algorithm the client does not use: %v", err)
	}
}

func swapPayload(jws, payload string) string {
	parts := strings.Split(jws, ".")
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(payload))
	return strings.Join(parts, ".")
}

// Algorithm confusion: "none" needs no key, and an HMAC made with the public key
// is one that anybody can make.
func TestAlgorithmConfusion(t *testing.T) {
	t.Parallel()
	s := parse(t, set(jwk("rsa", "r1", "")))
	enc := base64.RawURLEncoding.EncodeToString
	public, err := json.Marshal(jose.JSONWebKey{Key: keys()["rsa"].Public()})
	if err != nil {
		t.Fatal(err)
	}
	hmac, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(jwk("rsa", "r1", ""))}, (&jose.SignerOptions{}).WithHeader("kid", "r1"))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := hmac.Sign([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	forged, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	embedded, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: keys()["ec"]}, &jose.SignerOptions{EmbedJWK: true})
	if err != nil {
		t.Fatal(err)
	}
	own, err := embedded.Sign([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	ownKey, err := own.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	for name, jws := range map[string]string{
		"none":                 enc([]byte(`{"alg":"none","kid":"r1"}`)) + "." + enc([]byte("x")) + ".",
		"None":                 enc([]byte(`{"alg":"None","kid":"r1"}`)) + "." + enc([]byte("x")) + ".",
		"no algorithm":         enc([]byte(`{"kid":"r1"}`)) + "." + enc([]byte("x")) + "." + enc([]byte("x")),
		"HMAC with public key": forged,
		"a key it brought":     ownKey,
		"a key by address":     enc([]byte(`{"alg":"RS256","jku":"https://evil.example/","jwk":`+string(public)+`}`)) + "." + enc([]byte("x")) + "." + enc([]byte("x")),
		"critical extension":   enc([]byte(`{"alg":"RS256","kid":"r1","crit":["x"],"x":1}`)) + "." + enc([]byte("x")) + "." + enc([]byte("x")),
		"JSON form":            `{"payload":"eA","signatures":[]}`,
	} {
		if got, err := s.Verify(jws, algorithms); err == nil {
			t.Errorf("%s passed as %q", name, got)
		}
	}
}

// A set holds what it holds: what cannot be used is left out, as long as something
// remains.
func TestUnusableKeysAreLeftOut(t *testing.T) {
	t.Parallel()
	good := jwk("rsa", "r1", "RS256")
	for name, bad := range map[string]string{
		"unknown type":     `{"kty":"XYZ"}`,
		"unknown curve":    `{"kty":"OKP","crv":"X25519","x":"AAAA"}`,
		"no type":          `{"kid":"x"}`,
		"for encryption":   strings.Replace(jwk("ec", "e", ""), `"use":"sig"`, `"use":"enc"`, 1),
		"for other things": strings.Replace(jwk("ec", "e", ""), `"use":"sig"`, `"key_ops":["encrypt"]`, 1),
		"a weak key":       jwk("weak", "w", ""),
		"another curve":    jwk("ec384", "e", ""),
		"a broken key":     `{"kty":"RSA","n":"!!","e":"AQAB"}`,
		"off the curve":    `{"kty":"EC","crv":"P-256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`,
	} {
		if _, err := keyset.Parse([]byte(set(bad))); err == nil {
			t.Errorf("%s is usable", name)
		}
		s := parse(t, set(bad, good))
		if _, err := s.Verify(sign(t, "rsa", "r1", jose.RS256, "x"), algorithms); err != nil {
			t.Errorf("beside %s: %v", name, err)
		}
	}
	verify := strings.Replace(jwk("ec", "e", ""), `"use":"sig"`, `"key_ops":["verify"]`, 1)
	if _, err := parse(t, set(verify)).Verify(sign(t, "ec", "e", jose.ES256, "x"), algorithms); err != nil {
		t.Errorf("key_ops verify: %v", err)
	}
}

// A key that everybody can read proves nothing.
func TestPublishedPrivateKeys(t *testing.T) {
	t.Parallel()
	private, err := json.Marshal(jose.JSONWebKey{Key: keys()["ec"], KeyID: "e"})
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string]string{
		"private":    set(string(private)),
		"symmetric":  set(`{"kty":"oct","k":"c2VjcmV0"}`),
		"among good": set(jwk("rsa", "r1", ""), `{"kty":"oct","k":"c2VjcmV0"}`),
	} {
		if _, err := keyset.Parse([]byte(raw)); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: the error shows it: %v", name, err)
		}
	}
}

func TestMalformedSets(t *testing.T) {
	t.Parallel()
	many := make([]string, 65)
	for i := range many {
		many[i] = `{"kty":"XYZ"}`
	}
	for name, raw := range map[string]string{
		"nothing": "", "a list": "[]", "null": "null", "no keys": "{}", "empty": `{"keys":[]}`, "keys null": `{"keys":null}`,
		"keys an object": `{"keys":{}}`, "a key null": `{"keys":[null]}`, "a key text": `{"keys":["x"]}`, "too many": set(many...),
		"too long": `{"keys":[],"x":"` + strings.Repeat("x", keyset.MaxBytes) + `"}`, "HTML": "<html>",
	} {
		if _, err := keyset.Parse([]byte(raw)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A client publishes a great many keys and signs without saying with which: every
// request would try them all. The key that is named is found wherever it stands.
func TestFewKeysAreTried(t *testing.T) {
	t.Parallel()
	var others []string
	for range 4 {
		other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(jose.JSONWebKey{Key: other.Public(), Use: "sig"})
		if err != nil {
			t.Fatal(err)
		}
		others = append(others, string(b))
	}
	first, last := parse(t, set(append([]string{jwk("ec", "", "")}, others...)...)), parse(t, set(append(others, jwk("ec", "mine", ""))...))
	if _, err := first.Verify(sign(t, "ec", "", jose.ES256, "{}"), algorithms); err != nil {
		t.Errorf("the first key: %v", err)
	}
	if _, err := last.Verify(sign(t, "ec", "mine", jose.ES256, "{}"), algorithms); err != nil {
		t.Errorf("the key that is named: %v", err)
	}
	if _, err := last.Verify(sign(t, "ec", "", jose.ES256, "{}"), algorithms); !errors.Is(err, keyset.ErrSignature) {
		t.Errorf("the fifth key without a name: %v", err)
	}
}

// The thumbprint is of the keys: order, ids and repetition do not matter.
func TestThumbprint(t *testing.T) {
	t.Parallel()
	a := parse(t, set(jwk("rsa", "1", ""), jwk("ec", "2", ""))).Thumbprint()
	if b := parse(t, set(jwk("ec", "x", "ES256"), jwk("rsa", "y", ""), jwk("ec", "z", ""))).Thumbprint(); a != b {
		t.Error("the same keys have another thumbprint")
	}
	if b := parse(t, set(jwk("rsa", "1", ""))).Thumbprint(); a == b {
		t.Error("other keys have the same thumbprint")
	}
}

// FuzzParse: nothing panics, and no set verifies what none of its keys signed.
func FuzzParse(f *testing.F) {
	f.Add(set(jwk("rsa", "r1", ""), jwk("ec", "e1", "ES256")))
	f.Add(set(jwk("ed", "d1", "EdDSA")))
	f.Add(`{"keys":[{"kty":"RSA","n":"AQ","e":"AQ"}]}`)
	f.Add(`{"keys":[{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ","x5c":["AAAA"]}]}`)
	enc := base64.RawURLEncoding.EncodeToString
	var jws []string
	for _, alg := range algorithms {
		jws = append(jws, enc(fmt.Appendf(nil, `{"alg":%q}`, alg))+"."+enc([]byte("x"))+"."+enc(make([]byte, 64)))
	}
	f.Fuzz(func(t *testing.T, raw string) {
		s, err := keyset.Parse([]byte(raw))
		if err != nil {
			return
		}
		s.Thumbprint()
		for _, j := range jws {
			if _, err := s.Verify(j, algorithms); err == nil {
				t.Fatalf("%s verifies %s", raw, j)
			}
		}
	})
}
