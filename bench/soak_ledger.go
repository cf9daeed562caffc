// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// fate is what a client knows of its grant.
type fate int

const (
	// held: tokens were handed out, and nothing was asked for that ends them.
	held fate = iota
	// ending: its end was asked for. Until the answer is here it may be either.
	ending
	// over: the end was acknowledged.
	over
)

// issued is an access token and the least that it is good for.
type issued struct {
	token string
	until time.Time
}

// grant is what one client was told about one sign-in. The ledger guards it.
type grant struct {
	owner   *program
	subject string
	fate    fate
	// gone is closed when it is over.
	gone chan struct{}
	// access and family are the tokens of both kinds, the newest last; retired says
	// when each refresh token but the newest was exchanged.
	access  []issued
	family  []string
	retired []time.Time
	// busy: somebody changes it. A program does that one step at a time.
	busy bool
}

// ledger is what clients were told, to be compared with what there is. A contradiction
// is noted when it is seen.
type ledger struct {
	mu     sync.Mutex
	grants []*grant
	// active are those in use.
	active   []*grant
	programs map[*program]bool // true: deleted, and that was acknowledged
	counts   map[string]int
	wrong    []string
	// unknown counts sign-ins that may have left a grant of which nobody was told.
	unknown int
}

func newLedger() *ledger {
	return &ledger{programs: map[*program]bool{}, counts: map[string]int{}}
}

func (l *ledger) count(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[what]++
}

// violation notes what must never happen.
func (l *ledger) violation(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note(format, args...)
}

// note is violation for who holds the lock.
func (l *ledger) note(format string, args ...any) {
	l.wrong = append(l.wrong, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// lost notes a sign-in of which nobody knows whether it left a grant.
func (l *ledger) lost() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unknown++
}

// registered notes that a program was told it is registered.
func (l *ledger) registered(p *program) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.programs[p] = false
}

// handOut notes the first tokens of a grant. It stays busy until released.
func (l *ledger) handOut(owner *program, subject string, asked time.Time, set tokenSet) *grant {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := &grant{
		owner: owner, subject: subject, gone: make(chan struct{}), busy: true,
		access: []issued{until(asked, set)}, family: []string{set.Refresh},
	}
	l.grants = append(l.grants, g)
	l.counts["grants handed out"]++
	return g
}

func until(asked time.Time, set tokenSet) issued {
	return issued{set.Access, asked.Add(time.Duration(set.Expires) * time.Second)}
}

// rotated notes the answer to a refresh that was asked for with the newest token. A
// program that asks twice at once gets one successor.
func (l *ledger) rotated(g *grant, asked time.Time, sets ...tokenSet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, set := range sets {
		if set.Refresh != sets[0].Refresh {
			l.note("doubled: two refreshes of one token brought two successors")
		}
		g.access = append(g.access, until(asked, set))
	}
	if slices.Contains(g.family, sets[0].Refresh) {
		l.note("doubled: a refresh brought a token that was there before")
	}
	g.family, g.retired = append(g.family, sets[0].Refresh), append(g.retired, time.Now())
	g.access = g.access[max(0, len(g.access)-8):]
	l.counts["refreshes"]++
}

// ask notes that the end of a grant is being asked for.
func (l *ledger) ask(g *grant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g.fate = max(g.fate, ending)
}

// ended notes that the end was acknowledged.
func (l *ledger) ended(g *grant, how string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end(g)
	l.counts["grants ended: "+how]++
}

func (l *ledger) end(g *grant) {
	if g.fate != over {
		g.fate = over
		close(g.gone)
	}
}

// deleted notes that a program is no longer registered, and so none of its grants is.
func (l *ledger) deleted(p *program) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.programs[p] = true
	for _, g := range l.grants {
		if g.owner == p {
			l.end(g)
		}
	}
	l.counts["clients deleted"]++
}
