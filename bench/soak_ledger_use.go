// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"
)

// use is a request that is about to be made with the newest access token.
type use struct {
	g      *grant
	access issued
	// over: the end of the grant had been acknowledged before.
	over bool
}

func (l *ledger) use(g *grant) use {
	l.mu.Lock()
	defer l.mu.Unlock()
	return use{g, g.access[len(g.access)-1], g.fate == over}
}

// clockSlack is how much the ends of tokens are rounded.
const clockSlack = 2 * time.Second

// pickUsable is pick for who needs the token to be good for a while. Nil: not now.
func (l *ledger) pickUsable() (*grant, use) {
	g := l.pick(false)
	if g == nil {
		return nil, use{}
	}
	u := l.use(g)
	if time.Until(u.access.until) < clockSlack {
		return nil, use{}
	}
	return g, u
}

// judge compares the answer to a request with what it has to be. excused: the gateway
// was away meanwhile, so there may be none.
func (l *ledger) judge(u use, a answer, excused bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case a.status == 0 && excused:
		l.counts["calls that no answer came to, for a kill or a reload"]++
	case a.status == 0 && u.g.fate != held && !u.over:
		// An answer that had begun when the grant ended must not look complete.
		l.counts["calls broken off with their grant"]++
	case a.status == 0:
		l.note("no answer to a call of a grant that is %s: %v", [...]string{"held", "ending", "over"}[u.g.fate], a.err)
	case a.status == http.StatusOK && u.over:
		l.note("resurrected: an access token of a grant that is over was admitted")
	case a.status == http.StatusOK && time.Now().After(u.access.until.Add(30*time.Second)):
		l.note("resurrected: an access token was admitted long after its end")
	case a.status == http.StatusOK && !a.tells(u.g.subject):
		l.note("the backend was not told %s: %s", u.g.subject, a.body)
	case a.status == http.StatusUnauthorized && u.g.fate == held && time.Now().Before(u.access.until.Add(-clockSlack)):
		l.note("lost: an access token was refused: %s", a.body)
	case a.status != http.StatusOK && a.status != http.StatusUnauthorized:
		l.note("a call was answered with %d: %s", a.status, a.body)
	default:
		l.counts[fmt.Sprintf("calls answered with %d", a.status)]++
	}
}

// pick returns an active grant, or nil. With alone it is reserved for who changes it.
func (l *ledger) pick(alone bool) *grant {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range 20 {
		if len(l.active) == 0 {
			return nil
		}
		i := rand.IntN(len(l.active))
		g := l.active[i]
		switch {
		case g.fate != held:
			l.active = slices.Delete(l.active, i, i+1)
		case !alone:
			return g
		case !g.busy:
			g.busy = true
			return g
		}
	}
	return nil
}

// pickOver returns a grant that is over, or nil: one of the newest, whose access tokens
// would still be good, or any.
func (l *ledger) pickOver() *grant {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := 0
	if rand.IntN(2) == 0 {
		from = max(0, len(l.grants)-2*soakGrants)
	}
	for range 20 {
		if len(l.grants) == 0 {
			return nil
		}
		if g := l.grants[from+rand.IntN(len(l.grants)-from)]; g.fate == over {
			return g
		}
	}
	return nil
}

// reserve keeps others from changing a grant. It is false if somebody does, or if it is
// not held any more.
func (l *ledger) reserve(g *grant) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g.busy || g.fate != held {
		return false
	}
	g.busy = true
	return true
}

// ancient is a refresh token that is too old to be answered, if the grant had one.
func (l *ledger) ancient(g *grant) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := 0; i < len(g.family)-2; i++ { // the newest one exchanged is answered for longer
		if time.Since(g.retired[i]) > soakGrace+5*time.Second {
			return g.family[i]
		}
	}
	return ""
}

// release ends a reservation.
func (l *ledger) release(g *grant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g.busy = false
}

// activate puts a grant into use, at most so many at a time: the one that has been in
// use for longest leaves, reserved, and is returned.
func (l *ledger) activate(g *grant, most int) (leaves *grant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active = append(l.active, g)
	for i, old := range l.active {
		if len(l.active) <= most {
			break
		}
		if !old.busy {
			old.busy = true
			l.active = slices.Delete(l.active, i, i+1)
			return old
		}
	}
	return nil
}

// grantIDOf is the grant of a refresh token.
func grantIDOf(refresh string) string {
	_, rest, _ := strings.Cut(refresh, "_")
	id, _, _ := strings.Cut(rest, ".")
	return id
}
