// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// attackIDToken holds that a sign-in with an altered id_token is refused, and that
// without the alteration it is not.
func attackIDToken(t *testing.T, reason upstream.Reason, says string, alter func(p *provider)) {
	t.Helper()
	p := newProvider(time.Now)
	o := p.connect(t)
	if _, err := p.signIn(t, o); err != nil {
		t.Fatalf("before the attack: %v", err)
	}
	alter(p)
	in, err := p.signIn(t, o)
	if err == nil {
		t.Fatalf("signed in as %+v", in.Identity)
	}
	wantRefusal(t, err, reason, says)
}

// TestAttackForgedClaims: the signature is the provider's, because the token was made
// for somebody else, some other time or some other purpose. Mallory got hold of it
// and slips it into Alice's sign-in.
func TestAttackForgedClaims(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, tc := range map[string]struct {
		says string
		edit func(claims)
	}{
		"another issuer":             {`issuer "https://evil.example"`, func(c claims) { c["iss"] = "https://evil.example" }},
		"issuer with a slash":        {"issuer", func(c claims) { c["iss"] = theIssuer + "/" }},
		"issuer in capitals":         {"issuer", func(c claims) { c["iss"] = strings.ToUpper(theIssuer) }},
		"issuer without scheme":      {"issuer", func(c claims) { c["iss"] = "login.example.com" }},
		"issuer is a list":           {"issuer", func(c claims) { c["iss"] = []string{theIssuer} }},
		"Google's other name":        {"issuer", func(c claims) { c["iss"] = googleBareIssuer }},
		"no issuer":                  {"issuer", func(c claims) { delete(c, "iss") }},
		"another client":             {"another client", func(c claims) { c["aud"] = "other" }},
		"other clients":              {"another client", func(c claims) { c["aud"] = []string{"other", "another"} }},
		"client as a prefix":         {"another client", func(c claims) { c["aud"] = theClient + "-2" }},
		"no client":                  {"another client", func(c claims) { delete(c, "aud") }},
		"nobody's":                   {"another client", func(c claims) { c["aud"] = []string{} }},
		"audience is a number":       {"another client", func(c claims) { c["aud"] = []any{theClient, 1} }},
		"a thousand audiences":       {"another client", func(c claims) { c["aud"] = append(make([]string, 1000), theClient) }},
		"several, given to one":      {"azp", func(c claims) { c["aud"], c["azp"] = []string{theClient, "other"}, "other" }},
		"several, given to nobody":   {"azp", func(c claims) { c["aud"] = []string{theClient, "other"} }},
		"ours, given to another":     {"azp", func(c claims) { c["azp"] = "other" }},
		"ours, given to a number":    {"azp", func(c claims) { c["azp"] = 1 }},
		"another sign-in":            {"nonce", func(c claims) { c["nonce"] = nonceOf("of another") }},
		"no sign-in":                 {"nonce", func(c claims) { delete(c, "nonce") }},
		"empty nonce":                {"nonce", func(c claims) { c["nonce"] = "" }},
		"nonce is a list":            {"nonce", func(c claims) { c["nonce"] = []any{c["nonce"]} }},
		"expired":                    {"expired", func(c claims) { c["exp"] = now.Add(-3 * time.Minute).Unix() }},
		"never expires":              {"exp", func(c claims) { delete(c, "exp") }},
		"expires in words":           {"exp", func(c claims) { c["exp"] = "2099-01-01" }},
		"expires as a string":        {"exp", func(c claims) { c["exp"] = "4070908800" }},
		"expires after all time":     {"exp", func(c claims) { c["exp"] = 1e300 }},
		"expires before all time":    {"exp", func(c claims) { c["exp"] = -1 }},
		"issued in the future":       {"future", func(c claims) { c["iat"] = now.Add(3 * time.Minute).Unix() }},
		"never issued":               {"iat", func(c claims) { delete(c, "iat") }},
		"not valid yet":              {"nbf", func(c claims) { c["nbf"] = now.Add(3 * time.Minute).Unix() }},
		"valid from who knows when":  {"nbf", func(c claims) { c["nbf"] = "soon" }},
		"of another access token":    {"at_hash", func(c claims) { c["at_hash"] = hashOf(keyA(), "another") }},
		"of no access token":         {"at_hash", func(c claims) { c["at_hash"] = "" }},
		"nobody":                     {"sub", func(c claims) { delete(c, "sub") }},
		"empty subject":              {"sub", func(c claims) { c["sub"] = "" }},
		"subject is a number":        {"sub", func(c claims) { c["sub"] = 1 }},
		"subject with a line break":  {"sub", func(c claims) { c["sub"] = "alice-1\nX-Forwarded-Groups: ops" }},
		"subject with blanks around": {"sub", func(c claims) { c["sub"] = " alice-1" }},
		"subject outside ASCII":      {"sub", func(c claims) { c["sub"] = "alicé" }},
		"subject without end":        {"sub", func(c claims) { c["sub"] = strings.Repeat("a", 256) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			attackIDToken(t, upstream.ReasonInvalid, tc.says, func(p *provider) { p.edit = tc.edit })
		})
	}
}

// TestHarmlessClaims: what is unusual and allowed.
func TestHarmlessClaims(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(claims){
		"audience as a list":      func(c claims) { c["aud"] = []string{theClient} },
		"several, given to us":    func(c claims) { c["aud"], c["azp"] = []string{"other", theClient}, theClient },
		"given to us":             func(c claims) { c["azp"] = theClient },
		"expired a moment ago":    func(c claims) { c["exp"] = time.Now().Add(-time.Minute).Unix() },
		"issued in a moment":      func(c claims) { c["iat"] = time.Now().Add(time.Minute).Unix() },
		"valid in a moment":       func(c claims) { c["nbf"] = time.Now().Add(time.Minute).Unix() },
		"fractions of seconds":    func(c claims) { c["exp"] = float64(time.Now().Add(time.Minute).UnixMilli()) / 1000 },
		"subject with blanks in":  func(c claims) { c["sub"] = "cn=Alice Example,dc=example" },
		"subject of 255":          func(c claims) { c["sub"] = strings.Repeat("a", 255) },
		"claims we do not know":   func(c claims) { c["https://example.com/x"] = claims{"a": []int{1}} },
		"claims that are missing": func(c claims) { delete(c, "name"); delete(c, "email") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(time.Now)
			delete(p.document, "userinfo_endpoint")
			p.edit = edit
			if _, err := p.signIn(t, p.connect(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLeewayIsBounded: a clock that is wrong by more than two minutes is the
// operator's to set.
func TestLeewayIsBounded(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		skew time.Duration
		ok   bool
	}{{0, true}, {110 * time.Second, true}, {-110 * time.Second, true}, {-3 * time.Minute, false}, {8 * time.Minute, false}} {
		c := newClock()
		p := newProvider(time.Now)
		p.now = c.now
		o := p.connect(t, func(cfg *Config) { cfg.Now = func() time.Time { return c.now().Add(tc.skew) } })
		if _, err := p.signIn(t, o); (err == nil) != tc.ok {
			t.Errorf("with a clock that is off by %s: %v", tc.skew, err)
		}
	}
}

// TestAttackUnsignedToken: the oldest trick. The provider's own document says that
// "none" is possible, for other flows; here it never is.
func TestAttackUnsignedToken(t *testing.T) {
	t.Parallel()
	b64 := base64.RawURLEncoding.EncodeToString
	for _, alg := range []string{"none", "None", "NONE", ""} {
		for _, signature := range []string{"", b64([]byte("x"))} {
			mint := func(_ *provider, c claims) any {
				return b64(must(json.Marshal(claims{"alg": alg, "typ": "JWT"}))) + "." + b64(must(json.Marshal(c))) + "." + signature
			}
			p := newProvider(time.Now)
			p.mint = mint
			_, err := p.signIn(t, p.connect(t))
			if err == nil {
				t.Fatalf("alg %q with signature %q was accepted", alg, signature)
			}
		}
	}
	attackIDToken(t, upstream.ReasonMisconfigured, `"none"`, func(p *provider) {
		p.mint = func(_ *provider, c claims) any {
			return b64([]byte(`{"alg":"none"}`)) + "." + b64(must(json.Marshal(c))) + "."
		}
	})
}

// TestAttackPublicKeyAsSecret: Mallory signs with HS256 and the provider's public
// key, in every form in which a verifier may take it for a shared secret; or with the
// client's secret, which in many companies is no secret.
func TestAttackPublicKeyAsSecret(t *testing.T) {
	t.Parallel()
	jwk := must(json.Marshal(keyA().jwk()))
	for name, secret := range map[string][]byte{
		"the JWK":           jwk,
		"its thumbprint":    must((&jose.JSONWebKey{Key: keyA().public()}).Thumbprint(5)),
		"the client secret": []byte(theSecret + "-long-enough-for-HS256"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			attackIDToken(t, upstream.ReasonMisconfigured, `"HS256"`, func(p *provider) {
				p.signer = testKey{id: "a", algorithm: jose.HS256, private: secret}
			})
		})
	}
}

// TestAttackKeyConfusion: a token tells where its key is, and the key is Mallory's.
// Only keys of the provider's set count, for what they are for.
func TestAttackKeyConfusion(t *testing.T) {
	t.Parallel()
	const wrong, unknown = "signature of the id_token is wrong", "not signed with any of the provider's keys"
	for name, tc := range map[string]struct {
		says  string
		alter func(p *provider)
	}{
		"a key of the same name": {wrong, func(p *provider) { p.signer = mallory() }},
		"a key without a name":   {wrong, func(p *provider) { k := mallory(); k.id = ""; p.signer = k }},
		"the key in the token": {wrong, func(p *provider) {
			p.mint = func(_ *provider, c claims) any {
				k := mallory()
				signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: k.private},
					(&jose.SignerOptions{EmbedJWK: true}).WithHeader("kid", "a")))
				return must(must(signer.Sign(must(json.Marshal(c)))).CompactSerialize())
			}
		}},
		"the address of the key": {wrong, func(p *provider) {
			p.mint = func(_ *provider, c claims) any {
				return mallory().signBytes(must(json.Marshal(c)), "jku", "https://evil.example/keys", "x5u", "https://evil.example/cert")
			}
		}},
		"a key for encryption": {unknown, func(p *provider) {
			jwk := keyB().jwk().(jose.JSONWebKey)
			jwk.Use = "enc"
			p.published, p.signer = append(p.published, jwk), keyB()
		}},
		"a key for another algorithm": {unknown, func(p *provider) {
			jwk := keyRSA().jwk().(jose.JSONWebKey)
			k := keyRSA()
			k.algorithm = "PS256"
			p.published, p.signer = append(p.published, jwk), k
		}},
		"a key that was taken back": {unknown, func(p *provider) {
			p.published = []any{keyB().jwk()}
			k := keyA()
			k.id = "gone"
			p.signer = k
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			p := newProvider(c.now)
			o := p.connect(t)
			if _, err := p.signIn(t, o); err != nil {
				t.Fatalf("before the attack: %v", err)
			}
			c.pass(minPause)
			tc.alter(p)
			_, err := p.signIn(t, o)
			if err == nil {
				t.Fatal("signed in")
			}
			wantRefusal(t, err, upstream.ReasonInvalid, tc.says)
		})
	}
}

// TestAttackOtherTokens: other tokens of the provider's, correctly signed, in the
// place of the id_token.
func TestAttackOtherTokens(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		reason upstream.Reason
		says   string
		mint   func(p *provider, c claims) any
	}{
		"none":            {upstream.ReasonMisconfigured, "no id_token", func(*provider, claims) any { return nil }},
		"empty":           {upstream.ReasonMisconfigured, "no id_token", func(*provider, claims) any { return "" }},
		"an object":       {upstream.ReasonMisconfigured, "no id_token", func(_ *provider, c claims) any { return c }},
		"no JWT":          {upstream.ReasonInvalid, "not a signed JWT", func(*provider, claims) any { return "opaque" }},
		"two parts":       {upstream.ReasonInvalid, "not a signed JWT", func(*provider, claims) any { return "a.b" }},
		"encrypted":       {upstream.ReasonInvalid, "not a signed JWT", func(*provider, claims) any { return "a.b.c.d.e" }},
		"too long":        {upstream.ReasonInvalid, "longer than", func(*provider, claims) any { return strings.Repeat("a", maxJWT+1) }},
		"an access token": {upstream.ReasonInvalid, `"at+jwt"`, func(p *provider, c claims) any { return p.signer.signBytes(must(json.Marshal(c)), "typ", "at+jwt") }},
		"a logout token": {upstream.ReasonInvalid, `"application/logout+JWT"`, func(p *provider, c claims) any {
			return p.signer.signBytes(must(json.Marshal(c)), "typ", "application/logout+JWT")
		}},
		"JSON of all signatures": {upstream.ReasonInvalid, "not a signed JWT", func(p *provider, c claims) any {
			parts := strings.Split(p.signer.sign(c), ".")
			return `{"payload":"` + parts[1] + `","signatures":[{"protected":"` + parts[0] + `","signature":"` + parts[2] + `"}]}`
		}},
		"critical extension": {upstream.ReasonInvalid, "the signature", func(p *provider, c claims) any {
			return signCritical(p.signer, c)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			attackIDToken(t, tc.reason, tc.says, func(p *provider) { p.mint = tc.mint })
		})
	}
}

// signCritical marks a header critical that nobody knows (RFC 7515 §4.1.11).
func signCritical(k testKey, c claims) string {
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: k.algorithm, Key: k.private},
		(&jose.SignerOptions{}).WithHeader("kid", k.id).WithHeader("crit", []string{"exp2"}).WithHeader("exp2", 1)))
	return must(must(signer.Sign(must(json.Marshal(c)))).CompactSerialize())
}

// TestAttackAmbiguousJSON: Mallory can add a claim to the provider's, with a mapper
// for attributes that users edit themselves, and names it like one that counts, or
// almost. Readers that differ in which one they take decide differently.
func TestAttackAmbiguousJSON(t *testing.T) {
	t.Parallel()
	t.Run("a claim twice", func(t *testing.T) {
		t.Parallel()
		attackIDToken(t, upstream.ReasonInvalid, "a member twice", func(p *provider) {
			p.mint = func(p *provider, c claims) any {
				raw := string(must(json.Marshal(c)))
				return p.signer.signBytes([]byte(strings.TrimSuffix(raw, "}") + `,"sub":"root-1"}`))
			}
		})
	})
	t.Run("a claim twice, escaped", func(t *testing.T) {
		t.Parallel()
		attackIDToken(t, upstream.ReasonInvalid, "a member twice", func(p *provider) {
			p.mint = func(p *provider, c claims) any {
				raw := string(must(json.Marshal(c)))
				return p.signer.signBytes([]byte(strings.TrimSuffix(raw, "}") + `,"s\u0075b":"root-1"}`))
			}
		})
	})
	t.Run("not UTF-8", func(t *testing.T) {
		t.Parallel()
		attackIDToken(t, upstream.ReasonInvalid, "not a JSON object", func(p *provider) {
			p.mint = func(p *provider, c claims) any {
				raw := string(must(json.Marshal(c)))
				return p.signer.signBytes([]byte(strings.TrimSuffix(raw, "}") + ",\"x\":\"\xff\"}"))
			}
		})
	})
	t.Run("too deep", func(t *testing.T) {
		t.Parallel()
		attackIDToken(t, upstream.ReasonInvalid, "not a JSON object", func(p *provider) {
			p.mint = func(p *provider, c claims) any {
				deep := strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)
				raw := string(must(json.Marshal(c)))
				return p.signer.signBytes([]byte(strings.TrimSuffix(raw, "}") + `,"x":` + deep + "}"))
			}
		})
	})
	t.Run("in capitals", func(t *testing.T) {
		t.Parallel()
		p := newProvider(time.Now)
		p.edit = func(c claims) {
			for _, name := range []string{"Sub", "SUB", "Email_Verified", "GROUPS", "Iss", "Nonce"} {
				c[name] = "root-1"
			}
		}
		in, err := p.signIn(t, p.connect(t))
		if err != nil || in.Identity.ID != "alice-1" || !in.Identity.EmailVerified || len(in.Identity.Groups) != 2 {
			t.Errorf("%+v, %v", in, err)
		}
	})
}

// TestAttackMixUp: Mallory's provider is another upstream of the same site. Its
// callback brings a code that the honest provider issued, to have it redeemed where
// Mallory can read it (RFC 9207). The issuer gives it away before anything is sent.
func TestAttackMixUp(t *testing.T) {
	t.Parallel()
	evil := providerOf("https://evil.example", time.Now)
	o := evil.connect(t)
	_, err := o.Identify(t.Context(), url.Values{"code": {"c"}, "iss": {theIssuer}}, "v", redirectURI)
	wantRefusal(t, err, upstream.ReasonInvalid, "issuer")
	if n := len(evil.requests); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

// TestAttackCodeOfAnotherSignIn: Mallory starts a sign-in in her own browser, stops
// before the callback, and has Alice's browser make it (RFC 9700 §4.5). Alice's
// browser has another verifier.
func TestAttackCodeOfAnotherSignIn(t *testing.T) {
	t.Parallel()
	p := newProvider(time.Now)
	o := p.connect(t)
	callback, _ := p.begin(t, o)
	_, err := o.Identify(t.Context(), callback, "verifier-of-alice", redirectURI)
	wantRefusal(t, err, upstream.ReasonInvalid, "invalid_grant")
	// A provider that does not know PKCE leaves it to the nonce.
	p.routes[p.at("token")] = func(w http.ResponseWriter, r *http.Request) {
		sendJSON(claims{"access_token": theAccess, "token_type": "Bearer", "id_token": p.idToken()})(w, r)
	}
	_, err = o.Identify(t.Context(), callback, "verifier-of-alice", redirectURI)
	wantRefusal(t, err, upstream.ReasonInvalid, "nonce")
}

// TestAttackTokenOfAnotherKind: a token that is no bearer token would have to be used
// in another way than we use it.
func TestAttackTokenOfAnotherKind(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit func(claims)
		says string
	}{
		"mac":           {func(a claims) { a["token_type"] = "mac" }, `type "mac"`},
		"DPoP":          {func(a claims) { a["token_type"] = "DPoP" }, `type "DPoP"`},
		"none":          {func(a claims) { delete(a, "token_type") }, "not bearer"},
		"line break":    {func(a claims) { a["access_token"] = "a\r\nX-Evil: 1" }, "cannot be sent"},
		"blank":         {func(a claims) { a["access_token"] = "a b" }, "cannot be sent"},
		"empty":         {func(a claims) { a["access_token"] = "" }, "no token"},
		"missing":       {func(a claims) { delete(a, "access_token") }, "no token"},
		"no string":     {func(a claims) { a["access_token"] = claims{} }, "no token"},
		"error as 200":  {func(a claims) { clear(a); a["error"] = "slow_down" }, `refused: "slow_down"`},
		"error as well": {func(a claims) { a["error"] = "server_error" }, `refused: "server_error"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(time.Now)
			p.answer = tc.edit
			_, err := p.signIn(t, p.connect(t))
			wantRefusal(t, err, upstream.ReasonUnavailable, tc.says)
		})
	}
}
