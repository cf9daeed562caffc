// SPDX-License-Identifier: Apache-2.0

package upstreamtest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

var passwordTests = group{
	"RightPassword":      testRightPassword,
	"WrongOrUnknown":     testWrongOrUnknown,
	"PasswordOfAnother":  testPasswordOfAnother,
	"OddInput":           testOddInput,
	"Throttled":          testThrottled,
	"NobodyIsLockedOut":  testNobodyIsLockedOut,
	"UnknownIsThrottled": testUnknownIsThrottled,
	"GivenUp":            testPasswordGivenUp,
}

// most is more attempts than anybody lets one address make.
const most = 100

func (e *env) loginOf(who Person) string {
	if l := e.People[who].Login; l != "" {
		return l
	}
	return e.People[who].ID
}

func (e *env) authenticate(ctx context.Context, name, password, from string) (identity.Identity, error) {
	e.Helper()
	e.secrets.add(password)
	id, err := e.Upstream.(upstream.PasswordChecker).Authenticate(ctx, name, password, from)
	e.checkError(err)
	if err != nil && id.ID != "" {
		e.Errorf("the identity %+v together with the error %v", id, err)
	}
	return id, err
}

func testRightPassword(e *env) {
	var ids []identity.Identity
	for _, who := range []Person{Alice, Bob, Alice} {
		id, err := e.authenticate(e.Context(), e.loginOf(who), e.Password(who), "192.0.2.1")
		if err != nil {
			e.Fatal(err)
		}
		e.isPerson(id, who)
		e.checkSubject(id)
		ids = append(ids, id)
	}
	if diff := cmp.Diff(ids[0], ids[2]); diff != "" {
		e.Errorf("another identity the second time (-first +second):\n%s", diff)
	}
}

// testWrongOrUnknown: mallory must not learn which names there are.
func testWrongOrUnknown(e *env) {
	_, wrong := e.authenticate(e.Context(), e.loginOf(Alice), "not the password", "192.0.2.1")
	_, unknown := e.authenticate(e.Context(), "nobody-of-this-name", "not the password", "192.0.2.2")
	e.refused(wrong, upstream.ReasonWrongPassword)
	e.refused(unknown, upstream.ReasonWrongPassword)
	if wrong != nil && unknown != nil && wrong.Error() != unknown.Error() {
		e.Errorf("%q for a wrong password, %q for an unknown name", wrong, unknown)
	}
}

func testPasswordOfAnother(e *env) {
	_, err := e.authenticate(e.Context(), e.loginOf(Alice), e.Password(Bob), "192.0.2.1")
	e.refused(err, upstream.ReasonWrongPassword)
}

func testOddInput(e *env) {
	name, password := e.loginOf(Alice), e.Password(Alice)
	for i, try := range [][2]string{
		{"", ""},
		{name, ""},
		{"", password},
		{name + "\x00", password},
		{name, password + "\x00"},
		{name + " ", password},
		{name, "\xff\xfe"},
		{"\xff", password},
		{name, password + strings.Repeat("x", 1<<20)},
		{strings.Repeat("n", 1<<20), password},
	} {
		from := "192.0.2." + string(rune('0'+i))
		id, err := e.authenticate(e.Context(), try[0], try[1], from)
		if err == nil {
			e.Errorf("name %.20q, password %.20q: %+v", try[0], try[1], id)
			continue
		}
		e.refused(err, upstream.ReasonWrongPassword)
	}
}

// exhaust guesses until it is throttled, and fails where it never is.
func (e *env) exhaust(name, from string) int {
	e.Helper()
	for n := range most {
		_, err := e.authenticate(e.Context(), name, "guess-of-mallory", from)
		var r *upstream.Refusal
		if errors.As(err, &r) && r.Reason == upstream.ReasonThrottled {
			return n
		}
		e.refused(err, upstream.ReasonWrongPassword)
	}
	e.Fatalf("%d guesses at one name from one address", most)
	return most
}

// testThrottled: the right password does not help then, or guessing would go on.
func testThrottled(e *env) {
	e.exhaust(e.loginOf(Alice), "198.51.100.1")
	_, err := e.authenticate(e.Context(), e.loginOf(Alice), e.Password(Alice), "198.51.100.1")
	e.refused(err, upstream.ReasonThrottled)
}

// testNobodyIsLockedOut: mallory fails on purpose, from her own address.
func testNobodyIsLockedOut(e *env) {
	e.exhaust(e.loginOf(Alice), "198.51.100.1")
	id, err := e.authenticate(e.Context(), e.loginOf(Alice), e.Password(Alice), "203.0.113.1")
	if err != nil {
		e.Fatalf("alice is locked out: %v", err)
	}
	e.isPerson(id, Alice)
}

func testUnknownIsThrottled(e *env) {
	known, unknown := e.exhaust(e.loginOf(Alice), "198.51.100.1"), e.exhaust("nobody-of-this-name", "198.51.100.2")
	if known != unknown {
		e.Errorf("%d guesses at a name that exists, %d at one that does not", known, unknown)
	}
}

func testPasswordGivenUp(e *env) {
	ctx, cancel := context.WithCancel(e.Context())
	cancel()
	began := time.Now()
	id, err := e.authenticate(ctx, e.loginOf(Alice), e.Password(Alice), "192.0.2.1")
	if err == nil {
		e.isPerson(id, Alice) // as good as having been just before it
	} else {
		e.refused(err, upstream.ReasonUnavailable)
	}
	if took := time.Since(began); took > patience {
		e.Errorf("took %s", took)
	}
}
