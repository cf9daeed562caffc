// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

const assertionHeader = "X-Mcp-Jwt-Assertion"

// assertedSubject reads the subject of a JWT without verifying anything, "" if it is
// none.
func assertedSubject(compact string) string {
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	_ = json.Unmarshal(payload, &claims)
	return claims.Subject
}

// publishedKey is a member of a JWK set.
type publishedKey struct {
	Kty string `json:"kty"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Y   string `json:"y"`
	Kid string `json:"kid"`
	Use string `json:"use"`
	Alg string `json:"alg"`
}

// strictBackend verifies assertions with nothing but the standard library, so that it
// shares no mistake with the code that makes them. It keeps the key set for as long as
// it may, and unlike real ones does not look for a key it does not know.
type strictBackend struct {
	audience string
	now      func() time.Time
	fetch    func() *http.Response

	keys  map[string]publishedKey
	until time.Time
}

func (w *world) strictBackend(audience string) *strictBackend {
	return &strictBackend{
		audience: audience, now: w.clock.Now,
		fetch: func() *http.Response { return w.get(oauth.PathJWKS) },
	}
}

// refresh fetches the keys if what it has is too old.
func (b *strictBackend) refresh(t *testing.T) {
	t.Helper()
	if b.now().Before(b.until) {
		return
	}
	resp := b.fetch()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("keys: status %d", resp.StatusCode)
	}
	_, age, _ := strings.Cut(resp.Header.Get("Cache-Control"), "max-age=")
	seconds, err := strconv.Atoi(age)
	if err != nil || seconds <= 0 {
		t.Fatalf("Cache-Control %q", resp.Header.Get("Cache-Control"))
	}
	set := decode[struct{ Keys []publishedKey }](t, resp)
	b.keys, b.until = map[string]publishedKey{}, b.now().Add(time.Duration(seconds)*time.Second)
	for _, k := range set.Keys {
		b.keys[k.Kid] = k
	}
}

// verify returns the claims of an assertion that a backend may trust.
func (b *strictBackend) verify(t *testing.T, compact string) (map[string]any, error) {
	t.Helper()
	b.refresh(t)
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("%d parts", len(parts))
	}
	var header map[string]any
	var claims map[string]any
	if err := errors.Join(unmarshalPart(parts[0], &header), unmarshalPart(parts[1], &claims)); err != nil {
		return nil, err
	}
	if header["alg"] != "ES256" || header["typ"] != "mcp-identity+jwt" || len(header) != 3 {
		return nil, fmt.Errorf("header %v", header)
	}
	kid, _ := header["kid"].(string)
	k, ok := b.keys[kid]
	if !ok {
		return nil, fmt.Errorf("key %q is not published", kid)
	}
	if err := k.verify(parts[0]+"."+parts[1], parts[2]); err != nil {
		return nil, err
	}
	issuedAt, expires := claims["iat"].(float64), claims["exp"].(float64)
	now := float64(b.now().Unix())
	switch {
	case claims["iss"] != issuer || claims["aud"] != b.audience:
		return nil, fmt.Errorf("iss %v, aud %v", claims["iss"], claims["aud"])
	case issuedAt > now || expires <= now || expires-issuedAt != 300:
		return nil, fmt.Errorf("issued %v, expires %v, now %v", issuedAt, expires, now)
	}
	return claims, nil
}

func unmarshalPart(part string, into any) error {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// verify checks a signature (RFC 7518 §3.4).
func (k publishedKey) verify(signed, signature string) error {
	public, err := k.public()
	if err != nil {
		return err
	}
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || len(raw) != 64 {
		return fmt.Errorf("signature of %d bytes, %w", len(raw), err)
	}
	sum := sha256.Sum256([]byte(signed))
	if !ecdsa.Verify(public, sum[:], new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])) {
		return errors.New("wrong signature")
	}
	return nil
}

func (k publishedKey) public() (*ecdsa.PublicKey, error) {
	x, errX := base64.RawURLEncoding.DecodeString(k.X)
	y, errY := base64.RawURLEncoding.DecodeString(k.Y)
	if err := errors.Join(errX, errY); err != nil || len(x) != 32 || len(y) != 32 {
		return nil, fmt.Errorf("coordinates of %d and %d bytes, %w", len(x), len(y), err)
	}
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
}

// asserted calls the path with a token and returns the assertion that the backend saw.
func (w *world) asserted(path, tok string) string {
	w.t.Helper()
	seen := make(chan []string, 1)
	before := w.backend
	w.backend = func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header[assertionHeader] }
	defer func() { w.backend = before }()
	w.wantStatus(w.do(request(http.MethodPost, path, "{}", bearer(tok)...)), http.StatusOK)
	select {
	case values := <-seen:
		if len(values) == 1 {
			return values[0]
		}
		w.t.Fatalf("%d assertions", len(values))
	default:
		w.t.Fatal("the backend was not reached")
	}
	return ""
}
