// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"hash/maphash"
	"sync"
	"time"
)

// checks is what asks upstreams about accounts. It belongs to the process: a reload
// neither forgets a question nor asks it twice.
type checks struct {
	st   *State
	seed maphash.Seed
	ctx  context.Context //nolint:containedctx // of the process, not of a request
	stop context.CancelFunc

	mu      sync.Mutex
	lines   map[string]*line
	closed  bool
	watched bool
	running sync.WaitGroup
}

func newChecks(st *State) *checks {
	ctx, stop := context.WithCancel(context.Background())
	return &checks{st: st, seed: maphash.MakeSeed(), ctx: ctx, stop: stop, lines: map[string]*line{}}
}

func (c *checks) hash(subject string) uint64 { return maphash.String(c.seed, subject) }

// lineOf returns the line of an upstream by its name.
func (c *checks) lineOf(name string) *line {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lines[name]
	if l == nil {
		l = &line{checks: c, errands: map[string]*errand{}}
		c.lines[name] = l
	}
	return l
}

// spawn runs f in a goroutine that close waits for. It is false after close.
func (c *checks) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.running.Go(f)
	return true
}

// watch starts the one goroutine that looks ahead, if it does not run yet.
func (c *checks) watch(f func(context.Context)) {
	c.mu.Lock()
	watched := c.watched
	c.watched = true
	c.mu.Unlock()
	if !watched {
		c.spawn(func() { f(c.ctx) })
	}
}

// closeTime bounds how long Close waits for an upstream that does not let go.
const closeTime = 5 * time.Second

func (c *checks) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop()
	done := make(chan struct{})
	go func() { c.running.Wait(); close(done) }()
	timer := time.NewTimer(closeTime)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// maxWorkers bounds the questions that are put to one upstream at the same time.
const maxWorkers = 16

// line is the questions that wait for one upstream. There is one per account at any
// time, however many requests and gateways' goroutines want to know. What a request
// waits for goes first. Workers exist while there is something to do.
type line struct {
	checks *checks
	health health

	mu            sync.Mutex
	errands       map[string]*errand
	urgent, later []*errand
	workers       int
}

// errand is something to be done about one account.
type errand struct {
	subject string
	done    chan struct{}

	// Guarded by line.mu until started.
	want            want
	urgent, started bool
}

// want is what an errand is about.
type want uint8

const (
	wantCheck want = 1 << iota // are they still who was admitted?
	wantToken                  // a token that does not end soon
)

// ask returns the errand for a subject, a new one or that which is under way. covers
// is false if that one is about something else; then ask again when it is done.
func (l *line) ask(subject string, w want, urgent bool) (e *errand, covers bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e = l.errands[subject]
	if e == nil {
		e = &errand{subject: subject, done: make(chan struct{})}
		l.errands[subject] = e
		l.later = append(l.later, e)
		if l.workers < maxWorkers {
			if !l.checks.spawn(l.work) {
				delete(l.errands, subject)
				close(e.done)
				return e, true
			}
			l.workers++
		}
	}
	if e.started {
		return e, e.want&w == w
	}
	e.want |= w
	if urgent && !e.urgent {
		e.urgent = true
		l.urgent = append(l.urgent, e)
	}
	return e, true
}

// work does errands until there are none.
func (l *line) work() {
	for e := l.next(); e != nil; e = l.next() {
		l.checks.st.run(l.checks.ctx, e)
		l.mu.Lock()
		delete(l.errands, e.subject)
		l.mu.Unlock()
		close(e.done)
	}
}

// next takes an errand, or gives the worker's place up.
func (l *line) next() *errand {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, queue := range []*[]*errand{&l.urgent, &l.later} {
		for len(*queue) > 0 {
			e := (*queue)[0]
			(*queue)[0] = nil
			*queue = (*queue)[1:]
			if !e.started { // it may stand in both
				e.started = true
				return e
			}
		}
		*queue = nil
	}
	l.workers--
	return nil
}

// patience is how long a request waits for an answer about its account.
const patience = 5 * time.Second

// wait returns when the errand is done, when patience is at its end, or when the
// caller is gone. The errand goes on.
func (e *errand) wait(ctx context.Context) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-e.done:
	case <-timer.C:
	case <-ctx.Done():
	}
}
