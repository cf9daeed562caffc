// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// hashOf makes a hash of the least cost that is accepted. Making one takes about
// 50 ms, so equal ones are made once.
func hashOf(t *testing.T, password string) string {
	t.Helper()
	made, _ := hashes.LoadOrStore(password, sync.OnceValues(func() ([]byte, error) {
		return bcrypt.GenerateFromPassword([]byte(password), minCost)
	}))
	h, err := made.(func() ([]byte, error))()
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

var hashes sync.Map

func bob(t *testing.T) User {
	return User{Name: "bob", Hash: hashOf(t, "correct horse"), Email: "bob@home.example", Groups: []string{"Family"}}
}

func mustNew(t *testing.T, cfg Config) *Local {
	t.Helper()
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func wantRefusal(t *testing.T, err error, want upstream.Reason) {
	t.Helper()
	var r *upstream.Refusal
	if !errors.As(err, &r) {
		t.Fatalf("error is %T %v, not a refusal", err, err)
	}
	if r.Reason != want {
		t.Errorf("refused as %s, want %s: %v", r.Reason, want, err)
	}
}

// TestAuthenticate runs real bcrypt, which takes its time: only what depends on
// bcrypt is here.
func TestAuthenticate(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("p", 72)
	l := mustNew(t, Config{Users: []User{
		bob(t),
		{Name: "Zoë Q", Hash: hashOf(t, "pässwörd")},
		{Name: "long", Hash: hashOf(t, long)},
		{Name: "php", Hash: strings.Replace(hashOf(t, "correct horse"), "$2a$", "$2y$", 1)},
	}})
	for name, tc := range map[string]struct {
		user, password string
		ok             bool
	}{
		"right":                  {"bob", "correct horse", true},
		"not ascii":              {"Zoë Q", "pässwörd", true},
		"72 bytes":               {"long", long, true},
		"another implementation": {"php", "correct horse", true},
		"wrong":                  {"bob", "incorrect horse", false},
		"unknown name":           {"alice", "correct horse", false},
		// bcrypt looks at 72 bytes: whatever follows must not be ignored.
		"73 bytes": {"long", long + "x", false},
		// bcrypt repeats the password with a NUL in between until it has 72
		// bytes: this would be the same key.
		"repeated with NUL": {"bob", "correct horse\x00correct horse", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			authenticate(t, l, tc.user, tc.password, tc.ok)
		})
	}
}

// TestExactly: names and passwords are what they are.
func TestExactly(t *testing.T) {
	t.Parallel()
	l, _ := counting(t, Config{Users: []User{bob(t), {Name: "Zoë", Hash: withCost(10)}}})
	for name, tc := range map[string]struct {
		user, password string
		ok             bool
	}{
		"right":                   {"bob", right, true},
		"not ascii":               {"Zoë", right, true},
		"no password":             {"bob", "", false},
		"case of the password":    {"bob", "Right", false},
		"prefix":                  {"bob", "righ", false},
		"trailing blank":          {"bob", right + " ", false},
		"trailing NUL":            {"bob", right + "\x00", false},
		"1 MiB":                   {"bob", right + strings.Repeat("x", 1<<20), false},
		"the hash is no password": {"bob", bob(t).Hash, false},
		"case of the name":        {"Bob", right, false},
		"blank after the name":    {"bob ", right, false},
		"empty name":              {"", right, false},
		"name with NUL":           {"bob\x00", right, false},
		"decomposed name":         {"Zoe\u0308", right, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			authenticate(t, l, tc.user, tc.password, tc.ok)
		})
	}
}

// TestAttackStandInPassword: passwords that bcrypt cannot take are replaced for
// the sake of time. Somebody's password may be the replacement.
func TestAttackStandInPassword(t *testing.T) {
	t.Parallel()
	l := mustNew(t, Config{Users: []User{bob(t)}})
	l.compare = func([]byte, []byte) error { return nil }
	for _, password := range []string{"", "a\x00b", strings.Repeat("p", 73)} {
		_, err := l.Authenticate(t.Context(), "bob", password, "192.0.2.1")
		wantRefusal(t, err, upstream.ReasonWrongPassword)
	}
	if _, err := l.Authenticate(t.Context(), "alice", "-", "192.0.2.1"); err == nil {
		t.Error("an unknown name is let in because the dummy matched")
	}
}

// authenticate makes one attempt, from an address of its own.
func authenticate(t *testing.T, l *Local, user, password string, ok bool) {
	t.Helper()
	id, err := l.Authenticate(t.Context(), user, password, t.Name())
	if ok {
		if err != nil || id.ID != user {
			t.Errorf("identity %+v, error %v", id, err)
		}
		return
	}
	wantRefusal(t, err, upstream.ReasonWrongPassword)
	if id.ID != "" {
		t.Errorf("identity %+v with an error", id)
	}
	if password != "" && strings.Contains(err.Error(), password) {
		t.Errorf("the error tells the password: %v", err)
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		upstream string
		user     User
		want     identity.Identity
		subject  string
		label    string
	}{
		"default": {"", bob(t), identity.Identity{
			Upstream: "local", Kind: "local", ID: "bob", Login: "bob",
			Email: "bob@home.example", EmailVerified: true, Groups: []string{"Family"},
		}, "local:bob", "a password"},
		"named": {"home", User{Name: "eve", Hash: hashOf(t, "correct horse")}, identity.Identity{
			Upstream: "home", Kind: "local", ID: "eve", Login: "eve",
		}, "local:home:eve", "a password (home)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := mustNew(t, Config{Name: tc.upstream, Users: []User{tc.user}})
			got, err := l.Authenticate(t.Context(), tc.user.Name, "correct horse", "192.0.2.1")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			if got.Subject() != tc.subject || l.Label() != tc.label || l.Kind() != "local" || l.Name() != tc.want.Upstream {
				t.Errorf("subject %q, label %q, kind %q, name %q", got.Subject(), l.Label(), l.Kind(), l.Name())
			}
		})
	}
}

// TestIdentityIsACopy: what a caller does to the groups of one sign-in must not
// show in the next.
func TestIdentityIsACopy(t *testing.T) {
	t.Parallel()
	l, _ := counting(t, Config{Users: []User{bob(t)}})
	for range 2 {
		id, err := l.Authenticate(t.Context(), "bob", right, "192.0.2.1")
		if err != nil || id.Groups[0] != "Family" {
			t.Fatalf("groups %q, error %v", id.Groups, err)
		}
		id.Groups[0] = "admins"
	}
}

// right is the password that counting accepts for every user.
const right = "right"

// work is what a fake bcrypt was asked to do.
type work struct {
	mu     sync.Mutex
	rounds int // sum of 2^cost
	calls  int
}

func (w *work) take() (rounds, calls int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rounds, calls = w.rounds, w.calls
	w.rounds, w.calls = 0, 0
	return rounds, calls
}

// counting is a list whose hashing is free, and counted.
func counting(t *testing.T, cfg Config) (*Local, *work) {
	t.Helper()
	l := mustNew(t, cfg)
	w := &work{}
	l.compare = func(hash, password []byte) error {
		cost, err := bcrypt.Cost(hash)
		if err != nil {
			t.Errorf("not a hash: %v", err)
		}
		w.mu.Lock()
		w.rounds += 1 << cost
		w.calls++
		w.mu.Unlock()
		if string(password) == right {
			return nil
		}
		return bcrypt.ErrMismatchedHashAndPassword
	}
	return l, w
}

// withCost is a well-formed hash that claims a cost.
func withCost(cost int) string { return string(dummyHash(cost)) }

// TestAttackNamesByTime: mallory measures how long a refusal takes, to learn
// which names exist, even in a list whose hashes differ in cost. All refusals
// are the same work.
func TestAttackNamesByTime(t *testing.T) {
	t.Parallel()
	l, w := counting(t, Config{Users: []User{
		{Name: "old", Hash: withCost(10)}, {Name: "mid", Hash: withCost(12)}, {Name: "new", Hash: withCost(14)},
	}})
	for _, name := range []string{"old", "mid", "new", "unknown", "", strings.Repeat("x", 100_000)} {
		for _, password := range []string{"wrong", "", strings.Repeat("p", 100), "a\x00b", right} {
			_, err := l.Authenticate(t.Context(), name, password, "198.51.100.1 "+name)
			if rounds, _ := w.take(); rounds != 1<<14 {
				t.Errorf("name %.10q, password %.10q: %d rounds, want %d", name, password, rounds, 1<<14)
			}
			if known := name == "old" || name == "mid" || name == "new"; known && password == right {
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			wantRefusal(t, err, upstream.ReasonWrongPassword)
		}
	}
}

// TestDummyHashIsRealWork: if bcrypt refused the dummy as malformed, unknown
// names would be answered at once.
func TestDummyHashIsRealWork(t *testing.T) {
	t.Parallel()
	for cost := minCost; cost <= maxCost; cost++ {
		if got, err := bcrypt.Cost(dummyHash(cost)); err != nil || got != cost {
			t.Errorf("cost %d: %d, %v", cost, got, err)
		}
		if !bcryptHash.Match(dummyHash(cost)) {
			t.Errorf("cost %d: not like a hash of the list", cost)
		}
	}
	err := bcrypt.CompareHashAndPassword(dummyHash(minCost), []byte("-"))
	if !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		t.Errorf("comparing ends with %v", err)
	}
}

// TestAttackDifferentRefusals: unknown name, wrong password and too long a
// password cannot be told apart by their text either.
func TestAttackDifferentRefusals(t *testing.T) {
	t.Parallel()
	l, _ := counting(t, Config{Users: []User{bob(t)}})
	texts := map[string]bool{}
	for _, try := range [][2]string{{"bob", "wrong"}, {"alice", "wrong"}, {"bob", strings.Repeat("x", 73)}, {"bob", ""}} {
		_, err := l.Authenticate(t.Context(), try[0], try[1], "192.0.2.1 "+try[0])
		wantRefusal(t, err, upstream.ReasonWrongPassword)
		texts[err.Error()] = true
	}
	if len(texts) != 1 {
		t.Errorf("%d different texts: %v", len(texts), texts)
	}
}

func TestRequestThatWasGivenUp(t *testing.T) {
	t.Parallel()
	l, w := counting(t, Config{Users: []User{bob(t)}})
	for range cap(l.throttle.slots.free) {
		l.throttle.slots.free <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range pairBurst + 1 { // giving up is no failed attempt
		_, err := l.Authenticate(ctx, "bob", right, "192.0.2.1")
		wantRefusal(t, err, upstream.ReasonUnavailable)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the cause is lost: %v", err)
		}
	}
	if _, calls := w.take(); calls != 0 {
		t.Errorf("%d hashes were computed for nobody", calls)
	}
}

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}
