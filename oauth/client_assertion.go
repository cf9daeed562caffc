// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"
)

// AuthPrivateKeyJWT is authentication with an assertion that the client signed
// (RFC 7523 §2.2, OpenID Connect Core §9).
const AuthPrivateKeyJWT = "private_key_jwt"

// AssertionTypeJWT is the only client_assertion_type there is (RFC 7523 §2.2).
const AssertionTypeJWT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// AssertionAlgorithms are the signatures accepted on an assertion. All are made
// with a private key: "none" needs no key, and an HMAC could be made with the
// public one.
var AssertionAlgorithms = []string{"RS256", "PS256", "ES256", "EdDSA"}

const (
	maxAssertionBytes = 8 << 10
	maxAssertionID    = 512

	// maxAssertionLife is how far ahead an assertion may end, and AssertionSkew how
	// far the clocks of client and server may be apart.
	maxAssertionLife = 5 * time.Minute
	AssertionSkew    = time.Minute
)

// AssertionClaims are the claims of a client assertion (RFC 7523 §3), without
// regard to its signature.
type AssertionClaims struct {
	Issuer, Subject string
	Audience        []string
	// ID is the jti: good once until Expires.
	ID string
	// NotBefore and IssuedAt are zero where the assertion does not say.
	Expires, NotBefore, IssuedAt time.Time
}

// AssertionPayload decodes the middle of a JWS in compact form. Nothing is
// verified.
func AssertionPayload(assertion string) ([]byte, bool) {
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 || len(assertion) > maxAssertionBytes {
		return nil, false
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(parts[1])
	return payload, err == nil
}

// ParseAssertionClaims reads the claims strictly: a repeated member, a time that
// is no number or a missing member that RFC 7523 §3 requires is invalid_client.
// So is a missing jti: without it an assertion could be used again.
func ParseAssertionClaims(payload []byte) (*AssertionClaims, *Error) {
	members, err := strictObject(payload)
	if err != nil {
		return nil, badAssertion("its payload %v", err)
	}
	r := claimReader{members: members}
	c := &AssertionClaims{
		Issuer: r.text("iss"), Subject: r.text("sub"), ID: r.text("jti"), Audience: r.texts("aud"),
		Expires: r.time("exp", true), NotBefore: r.time("nbf", false), IssuedAt: r.time("iat", false),
	}
	if r.bad != "" {
		return nil, badAssertion("%s is missing or malformed", r.bad)
	}
	if len(c.ID) > maxAssertionID {
		return nil, badAssertion("jti is too long")
	}
	return c, nil
}

// Check compares the claims with what they must be (RFC 7523 §3). audiences are
// the names this server goes by; every one the assertion is for must be among
// them, since an assertion that is for another server too could come from there.
// Times may be off by a minute.
func (c *AssertionClaims) Check(clientID string, audiences []string, now time.Time) *Error {
	switch {
	case c.Issuer != clientID:
		return badAssertion("iss is not the client_id")
	case c.Subject != clientID:
		return badAssertion("sub is not the client_id")
	case slices.ContainsFunc(c.Audience, func(a string) bool { return !slices.Contains(audiences, a) }):
		return badAssertion("aud is not, or not only, the issuer of this server")
	case !now.Before(c.Expires.Add(AssertionSkew)):
		return badAssertion("it expired")
	case c.Expires.After(now.Add(maxAssertionLife + AssertionSkew)):
		return badAssertion("exp is more than 5 minutes ahead")
	case c.NotBefore.After(now.Add(AssertionSkew)):
		return badAssertion("nbf is in the future")
	case c.IssuedAt.After(now.Add(AssertionSkew)):
		return badAssertion("iat is in the future")
	}
	return nil
}

// UsedUntil is when the jti may be forgotten: from then on Check refuses the
// assertion by itself.
func (c *AssertionClaims) UsedUntil() time.Time { return c.Expires.Add(AssertionSkew) }

func badAssertion(format string, args ...any) *Error {
	return NewError(CodeInvalidClient, "client_assertion: "+format, args...)
}

// claimReader remembers the first claim that is not as it must be.
type claimReader struct {
	members map[string]json.RawMessage
	bad     string
}

func (r *claimReader) text(name string) string {
	var s string
	if json.Unmarshal(r.members[name], &s) != nil || s == "" {
		r.fail(name)
	}
	return s
}

// texts reads one string or an array of them (RFC 7519 §4.1.3).
func (r *claimReader) texts(name string) []string {
	var one string
	if raw := r.members[name]; json.Unmarshal(raw, &one) == nil && one != "" {
		return []string{one}
	}
	var list []*string
	if json.Unmarshal(r.members[name], &list) != nil || len(list) == 0 || len(list) > maxListMembers {
		r.fail(name)
		return nil
	}
	var all []string
	for _, s := range list {
		if s == nil {
			r.fail(name)
			return nil
		}
		all = append(all, *s)
	}
	return all
}

// time reads a NumericDate (RFC 7519 §2), which may have a fraction.
func (r *claimReader) time(name string, required bool) time.Time {
	raw, ok := r.members[name]
	if !ok && !required {
		return time.Time{}
	}
	var n *float64
	if json.Unmarshal(raw, &n) != nil || n == nil || *n < 0 || *n > math.MaxInt32*16 {
		r.fail(name)
		return time.Time{}
	}
	return time.UnixMilli(int64(*n * 1000))
}

func (r *claimReader) fail(name string) {
	if r.bad == "" {
		r.bad = name
	}
}
