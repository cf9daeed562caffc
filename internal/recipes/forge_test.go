// SPDX-License-Identifier: Apache-2.0

package recipes

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// forger makes assertions that differ from good ones in one thing each. It has the
// gateway's own private key, so that nothing but that one thing is wrong.
type forger struct {
	t       *testing.T
	private *ecdsa.PrivateKey
	kid     string
	jwk     []byte
}

// forger has the newest key of the first site.
func (b *bed) forger() *forger {
	b.t.Helper()
	b.signed(issuer, "/mcp") // so that there is a key
	keys, err := b.store.Keys(b.t.Context(), issuer)
	if err != nil || len(keys) == 0 {
		b.t.Fatalf("%d keys, %v", len(keys), err)
	}
	newest := keys[len(keys)-1]
	der, err := b.ring.Open(token.PurposeSigningKey, newest.Private, "key "+issuer+" "+newest.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		b.t.Fatal(err)
	}
	return &forger{b.t, private.(*ecdsa.PrivateKey), newest.KeyID, newest.Public}
}

// object is a JSON object, a value of nil in it one that is not there.
type object map[string]any

func (f *forger) header() object {
	return object{"alg": "ES256", "kid": f.kid, "typ": "mcp-identity+jwt"}
}

func (f *forger) claims() object {
	now := time.Now().Unix()
	return object{"iss": issuer, "aud": resource, "sub": "github:583231", "iat": now, "exp": now + 300}
}

// signed signs what both parts are after edit with the gateway's key.
func (f *forger) signed(edit func(header, claims object)) string {
	h, c := f.header(), f.claims()
	edit(h, c)
	return f.es256(f.private, f.parts(h, c))
}

func (f *forger) parts(h, c object) string {
	return b64(f.json(h)) + "." + b64(f.json(c))
}

func (f *forger) json(o object) []byte {
	for name, v := range o {
		if v == nil {
			delete(o, name)
		}
	}
	raw, err := json.Marshal(o)
	if err != nil {
		f.t.Fatal(err)
	}
	return raw
}

func (f *forger) es256(key *ecdsa.PrivateKey, signed string) string {
	r, s := f.sign(key, signed)
	return signed + "." + b64(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

func (f *forger) sign(key *ecdsa.PrivateKey, signed string) (r, s *big.Int) {
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		f.t.Fatal(err)
	}
	return r, s
}

// hs256 is the confusion of algorithms: the public key, which everybody knows, as the
// secret of a symmetric signature.
func (f *forger) hs256(secret []byte) string {
	h := f.header()
	h["alg"] = "HS256"
	signed := f.parts(h, f.claims())
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + b64(mac.Sum(nil))
}

// publicForms are the forms in which a library may hold the public key.
func (f *forger) publicForms() map[string][]byte {
	der, err := x509.MarshalPKIXPublicKey(&f.private.PublicKey)
	if err != nil {
		f.t.Fatal(err)
	}
	return map[string][]byte{
		"PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "DER": der, "JWK": f.jwk, "nothing": {},
	}
}

func (f *forger) stranger() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	return key
}

func b64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }
