// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// told is a gateway that knows one program with two grants: "1" is held, "2" is over.
// It says the truth, or tells one lie.
type told struct {
	mu  sync.Mutex
	lie string
	// turn is how often the refresh token of grant 1 was exchanged.
	turn int
}

func (g *told) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.lie == "silent":
		panic(http.ErrAbortHandler)
	case r.URL.Path == "/token":
		g.refresh(w, r.FormValue("refresh_token"))
	case r.URL.Path == "/mcp":
		g.call(w, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	case r.URL.Path == "/register/here" && g.lie != "forgets the client",
		r.URL.Path == "/register/deleted" && g.lie == "keeps the deleted client":
		w.WriteHeader(http.StatusOK)
	default:
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func (g *told) refresh(w http.ResponseWriter, token string) {
	switch {
	case strings.HasPrefix(token, "rt_2.") && g.lie == "refreshes what is over",
		token == "rt_2.0" && g.lie == "refreshes an old token of what is over":
		fmt.Fprint(w, `{"access_token":"at_2.9","refresh_token":"rt_2.9","expires_in":60}`)
	case token != fmt.Sprintf("rt_1.%d", g.turn), g.lie == "loses the grant":
		w.WriteHeader(http.StatusBadRequest)
	case g.lie == "hands out an old refresh token":
		fmt.Fprint(w, `{"access_token":"at_1.1","refresh_token":"rt_1.0","expires_in":60}`)
	default:
		g.turn++
		fmt.Fprintf(w, `{"access_token":"at_1.%d","refresh_token":"rt_1.%d","expires_in":60}`, g.turn, g.turn)
	}
}

func (g *told) call(w http.ResponseWriter, token string) {
	who := "github:1001"
	if g.lie == "names somebody else" {
		who = "github:1002"
	}
	good := strings.HasPrefix(token, "at_1.") && g.lie != "loses the grant" ||
		strings.HasPrefix(token, "at_2.") && g.lie == "admits what is over"
	if !good || g.lie == "refuses access tokens" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	fmt.Fprintf(w, `{"text":%q}`, who)
}

// ledgerOf is the ledger of the clients of told.
func ledgerOf(t *testing.T, g *told) *ledger {
	t.Helper()
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	here := &program{http: server.Client(), origin: server.URL, id: "here"}
	deleted := &program{http: server.Client(), origin: server.URL, id: "deleted"}
	l, now := newLedger(), time.Now()
	l.registered(here)
	l.registered(deleted)
	l.deleted(deleted)
	l.release(l.handOut(here, "github:1001", now, tokenSet{"at_1.0", "rt_1.0", 60}))
	gone := l.handOut(here, "github:1001", now, tokenSet{"at_2.0", "rt_2.0", 60})
	l.rotated(gone, now, tokenSet{"at_2.1", "rt_2.1", 60})
	l.ask(gone)
	l.ended(gone, "revoked")
	return l
}

func TestAudit(t *testing.T) {
	t.Parallel()
	for lie, want := range map[string]string{
		"":                                       "",
		"loses the grant":                        "lost: the access token",
		"refuses access tokens":                  "lost: the access token",
		"hands out an old refresh token":         "doubled: a refresh brought a token that was there before",
		"names somebody else":                    "lost: the access token",
		"admits what is over":                    "resurrected: an access token",
		"refreshes what is over":                 "resurrected: a refresh token",
		"refreshes an old token of what is over": "resurrected: a refresh token",
		"forgets the client":                     "lost: a registration",
		"keeps the deleted client":               "resurrected: a registration",
		"silent":                                 "no answer",
	} {
		t.Run(lie, func(t *testing.T) {
			t.Parallel()
			l := ledgerOf(t, &told{lie: lie})
			if n := l.audit(t.Context()); n != 4 {
				t.Errorf("looked at %d grants and clients, want 4", n)
			}
			err := l.failure()
			switch {
			case want == "" && err != nil:
				t.Errorf("%v", err)
			case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
				t.Errorf("%v, want something with %q", err, want)
			}
		})
	}
}

// What was found works, and the next audit looks for what came of it.
func TestAuditTwice(t *testing.T) {
	t.Parallel()
	g := &told{}
	l := ledgerOf(t, g)
	l.audit(t.Context())
	l.audit(t.Context())
	if err := l.failure(); err != nil || g.turn != 2 {
		t.Errorf("refreshed %d times, %v; want twice", g.turn, err)
	}
	g.turn = 1 // as if the last step had not been kept
	l.audit(t.Context())
	if lost, back, other := l.sum(); lost != 1 || back != 0 || other != 0 {
		t.Errorf("lost %d, resurrected %d, other %d; want one lost", lost, back, other)
	}
}

// A grant of which nobody knows how it ended may be either.
func TestAuditLeavesOutWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	for _, lie := range []string{"", "loses the grant"} {
		l := ledgerOf(t, &told{lie: lie})
		l.ask(l.grants[0])
		l.audit(t.Context())
		if err := l.failure(); err != nil {
			t.Errorf("%v", err)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	const subject = "github:1001"
	errBroken := errors.New("connection reset")
	tests := []struct {
		name    string
		fate    fate
		u       use
		expired time.Duration
		a       answer
		excused bool
		want    string
	}{
		{name: "answered", a: answer{status: 200, body: []byte(`"github:1001"`)}},
		{name: "to somebody else", a: answer{status: 200, body: []byte(`"github:10012"`)}, want: "was not told"},
		{name: "refused while held", a: answer{status: 401}, want: "lost: "},
		{name: "refused at its end", expired: time.Second, a: answer{status: 401}},
		{name: "refused while its end is asked for", fate: ending, a: answer{status: 401}},
		{name: "answered while its end is asked for", fate: ending, a: answer{status: 200, body: []byte(`"github:1001"`)}},
		{name: "answered before the end was acknowledged", fate: over, a: answer{status: 200, body: []byte(`"github:1001"`)}},
		{name: "answered after", fate: over, u: use{over: true}, a: answer{status: 200, body: []byte(`"github:1001"`)}, want: "resurrected: "},
		{name: "refused after", fate: over, u: use{over: true}, a: answer{status: 401}},
		{name: "answered long after its end", expired: time.Minute, a: answer{status: 200, body: []byte(`"github:1001"`)}, want: "resurrected: "},
		{name: "not answered", a: answer{err: errBroken}, want: "connection reset"},
		{name: "broken off while its end is asked for", fate: ending, a: answer{err: errBroken}},
		{name: "broken off when it ended", fate: over, a: answer{err: errBroken}},
		{name: "not answered after the end", fate: over, u: use{over: true}, a: answer{err: errBroken}, want: "that is over"},
		{name: "not answered for a reason", a: answer{err: errBroken}, excused: true},
		{name: "unavailable", a: answer{status: 503}, excused: true, want: "503"},
		{name: "failed", a: answer{status: 500}, want: "500"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l := newLedger()
			tc.u.g = &grant{subject: subject, fate: tc.fate}
			tc.u.access.until = time.Now().Add(time.Hour)
			if tc.expired > 0 {
				tc.u.access.until = time.Now().Add(-tc.expired)
			}
			l.judge(tc.u, tc.a, tc.excused)
			err := l.failure()
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

func TestStreamEnded(t *testing.T) {
	t.Parallel()
	torn := errors.New("unexpected EOF")
	for _, tc := range []struct {
		fate    fate
		err     error
		excused bool
		fails   bool
	}{
		{held, nil, false, true},
		{held, torn, false, true},
		{held, torn, true, false},
		{ending, nil, false, false},
		{over, nil, false, false},
		{over, torn, false, true},
	} {
		l := newLedger()
		l.streamEnded(&grant{fate: tc.fate}, tc.err, tc.excused)
		if err := l.failure(); (err != nil) != tc.fails {
			t.Errorf("fate %d, %v, excused %v: %v", tc.fate, tc.err, tc.excused, err)
		}
	}
}

func TestRotated(t *testing.T) {
	t.Parallel()
	l := newLedger()
	g := l.handOut(&program{}, "github:1", time.Now(), tokenSet{"a", "r0", 60})
	l.rotated(g, time.Now(), tokenSet{"b", "r1", 60}, tokenSet{"c", "r1", 60})
	if err := l.failure(); err != nil || len(g.family) != 2 || g.access[2].token != "c" {
		t.Errorf("%v, family %v", err, g.family)
	}
	l.rotated(g, time.Now(), tokenSet{"d", "r2", 60}, tokenSet{"e", "r3", 60})
	if err := l.failure(); err == nil || !strings.Contains(err.Error(), "two successors") {
		t.Errorf("%v, want two successors", err)
	}
}

func TestCompareWithStore(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		stored  map[string]int
		unknown int
		want    string
	}{
		{name: "as told", stored: map[string]int{"1": 1}},
		{name: "lost", stored: map[string]int{}, want: "lost: "},
		{name: "twice", stored: map[string]int{"1": 2}, want: "lost: "},
		{name: "still there", stored: map[string]int{"1": 1, "2": 1}, want: "resurrected: "},
		{name: "a stranger", stored: map[string]int{"1": 1, "3": 1}, want: "nobody was told of"},
		{name: "a stranger for a reason", stored: map[string]int{"1": 1, "3": 1}, unknown: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l := ledgerOf(t, &told{})
			l.unknown = tc.unknown
			l.compare(tc.stored)
			err := l.failure()
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

// Of the active grants only those are picked that are held, and for changes only those
// that nobody else changes.
func TestPick(t *testing.T) {
	t.Parallel()
	l := newLedger()
	if g := l.pick(false); g != nil {
		t.Errorf("picked %v of nothing", g)
	}
	hand := func() *grant {
		g := l.handOut(&program{}, "github:1", time.Now(), tokenSet{"a", "r", 60})
		l.release(g)
		if old := l.activate(g, 2); old != nil {
			t.Errorf("%v leaves", old)
		}
		return g
	}
	one, two := hand(), hand()
	first := l.pick(true)
	second := l.pick(true)
	if first == second || first == nil || second == nil || l.pick(true) != nil {
		t.Error("a grant was reserved twice")
	}
	l.release(one)
	if g := l.pick(true); g != one {
		t.Error("what was released is not picked")
	}
	l.release(one)
	l.release(two)
	l.ask(one)
	for range 20 {
		if g := l.pick(false); g != two {
			t.Fatalf("picked %v", g)
		}
	}
	if l.reserve(one) || !l.reserve(two) || l.reserve(two) {
		t.Error("reserve takes what is ending or busy, or does not take what is free")
	}
	l.ended(one, "revoked")
	if l.pickOver() != one {
		t.Error("what is over is not found")
	}
}

// The oldest that nobody changes leaves, reserved.
func TestActivate(t *testing.T) {
	t.Parallel()
	l := newLedger()
	var all []*grant
	for range 3 {
		g := l.handOut(&program{}, "github:1", time.Now(), tokenSet{"a", "r", 60})
		if g.busy = len(all) == 0; l.activate(g, 3) != nil {
			t.Fatal("somebody leaves, and there is room")
		}
		all = append(all, g)
	}
	fourth := l.handOut(&program{}, "github:1", time.Now(), tokenSet{"a", "r", 60})
	if old := l.activate(fourth, 3); old != all[1] || !old.busy {
		t.Errorf("%v leaves, want the second", old)
	}
}

func TestAncient(t *testing.T) {
	t.Parallel()
	l := newLedger()
	long, now := time.Now().Add(-time.Minute), time.Now()
	for _, tc := range []struct {
		retired []time.Time
		want    string
	}{
		{nil, ""},
		{[]time.Time{long}, ""}, // the newest one exchanged may be answered
		{[]time.Time{long, long}, "r0"},
		{[]time.Time{now, now}, ""},
		{[]time.Time{long, now, now}, "r0"},
	} {
		g := &grant{retired: tc.retired}
		for i := range len(tc.retired) + 1 {
			g.family = append(g.family, fmt.Sprint("r", i))
		}
		if got := l.ancient(g); got != tc.want {
			t.Errorf("of %d exchanged %q, want %q", len(tc.retired), got, tc.want)
		}
	}
}
