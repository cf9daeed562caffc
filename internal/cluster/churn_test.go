// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
)

// Everything that can end ends, one after the other and two at a time, while people
// sign in, refresh and revoke. Afterwards: what was acknowledged is there, once; what
// was revoked is refused; no code brought two token sets.
func TestNothingIsLostOrDoubled(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, start func(*testing.T) store) {
		c := startCluster(t, start(t), options{allow: "any"})
		l, begun := newLedger(), time.Now()
		var stopped atomic.Bool
		var all sync.WaitGroup
		for i := range 8 {
			person := int64(1000 + i)
			c.github.AddUser(testidp.User{ID: person, Login: fmt.Sprintf("person%d", i)})
			w := &worker{ledger: l, client: c.newClient(), turn: i, stopped: &stopped}
			// Whoever is signed in at GitHub at the moment: it is all the same to the client.
			w.atGitHub = func() { c.github.SignIn(person) }
			all.Go(func() { w.run(t.Context()) })
		}
		end := sync.OnceFunc(func() {
			stopped.Store(true)
			all.Wait()
		})
		t.Cleanup(func() { end(); l.report(t) })
		for _, d := range disasters {
			t.Logf("%v: %s", time.Since(begun).Round(time.Millisecond), d.name)
			awaitProgress(t, l)
			d.strike(t, c, l)
		}
		awaitProgress(t, l)
		end()
		l.audit(t, c)
	})
}

// awaitProgress lets some more work be done.
func awaitProgress(t *testing.T, l *ledger) {
	t.Helper()
	before := l.counted("refreshed")
	eventually(t, "progress", func() bool { return l.counted("refreshed") >= before+25 })
}

// disaster is something that ends while everybody is at work.
type disaster struct {
	name   string
	strike func(*testing.T, *cluster, *ledger)
}

var disasters = []disaster{
	{"a gateway is killed", func(t *testing.T, c *cluster, l *ledger) {
		t.Helper()
		c.gateways["B"].kill()
		awaitProgress(t, l)
		c.gateways["B"].start()
	}},
	{"the store is killed", func(t *testing.T, c *cluster, _ *ledger) {
		t.Helper()
		c.store.kill(t)
		c.store.restart(t)
	}},
	{"the gateways are updated one by one", func(t *testing.T, c *cluster, _ *ledger) {
		t.Helper()
		for _, name := range names {
			c.gateways[name].stop()
			c.gateways[name].start()
		}
	}},
	{"connections break in the middle of requests", func(t *testing.T, c *cluster, _ *ledger) {
		t.Helper()
		for _, name := range names {
			c.gateways[name].link.refuse()
			c.gateways[name].link.heal()
		}
	}},
	{"the store is updated", func(t *testing.T, c *cluster, _ *ledger) {
		t.Helper()
		c.store.stop(t)
		c.store.restart(t)
	}},
	{"answers of the store get lost, and come late", func(t *testing.T, c *cluster, l *ledger) {
		t.Helper()
		before := l.lost()
		c.gateways["A"].link.silenceAnswers()
		eventually(t, "requests without an outcome", func() bool { return l.lost() >= before+4 })
		c.gateways["A"].link.heal()
	}},
	{"a gateway and the store are killed", func(t *testing.T, c *cluster, _ *ledger) {
		t.Helper()
		c.gateways["C"].kill()
		c.store.kill(t)
		c.store.restart(t)
		c.gateways["C"].start()
	}},
}

// worker is a client that signs in again and again, at whichever gateway has its turn.
type worker struct {
	ledger  *ledger
	client  client
	turn    int
	stopped *atomic.Bool
	// atGitHub signs a person in there.
	atGitHub func()
}

func (w *worker) run(ctx context.Context) {
	w.register(ctx)
	for ; !w.stopped.Load() && ctx.Err() == nil; w.turn++ {
		w.client = w.client.elsewhere()
		w.atGitHub()
		code := w.signIn(ctx)
		if code == "" {
			time.Sleep(20 * time.Millisecond) // people take longer to try again
			continue
		}
		e := &entry{client: w.client, id: idOf(code), fate: unknown}
		if w.turn%4 == 0 {
			w.steal(ctx, e, code)
		} else if w.redeem(ctx, e, code) {
			w.use(ctx, e)
		}
		w.ledger.add(e)
	}
}

// persist does something until its outcome is known. What is safe to repeat a client
// repeats.
func (w *worker) persist(ctx context.Context, what string, try func() (answer, error)) answer {
	for begun := time.Now(); time.Since(begun) < patience; time.Sleep(20 * time.Millisecond) {
		a, err := try()
		switch {
		case ctx.Err() != nil:
			return answer{}
		case err != nil:
			w.ledger.violation("%s: %v", what, err)
			return answer{}
		case a.settled():
			return a
		case a.status != 0 && a.status != http.StatusServiceUnavailable && a.status != http.StatusBadGateway:
			w.ledger.violation("%s: status %d", what, a.status)
			return a
		}
		w.ledger.count(what + ": no outcome, tried again")
	}
	w.ledger.violation("%s: no outcome within %v", what, patience)
	return answer{}
}

func (w *worker) register(ctx context.Context) {
	w.persist(ctx, "register", func() (answer, error) {
		registered, a, err := w.client.register(ctx)
		w.client = registered
		return a, err
	})
}

// signIn returns a code, or "" where a person would start again.
func (w *worker) signIn(ctx context.Context) string {
	code, end, err := w.client.signIn(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		w.ledger.violation("sign-in at %v: %v", end, err)
	case code != "":
		w.ledger.count("signed in")
	case strings.HasPrefix(end.path, "/authorize") && end.status/100 == 4:
		w.ledger.violation("sign-in refused at %v: the registration is lost", end)
	case end.status == http.StatusInternalServerError:
		w.ledger.violation("sign-in at %v", end)
	default:
		w.ledger.count("sign-in lost")
	}
	return code
}

// redeem presents the code once. Without an answer nobody knows, and a second try
// would be a replay; then a client signs in anew.
func (w *worker) redeem(ctx context.Context, e *entry, code string) bool {
	got, a, err := w.client.redeem(ctx, code)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		w.ledger.violation("redeem: %v", err)
	case !a.settled():
		w.ledger.count("redeem: no outcome")
	case a.status != http.StatusOK:
		w.ledger.violation("redeem: %d: a code that was handed out is lost", a.status)
	default:
		w.ledger.count("redeemed")
		e.fate, e.held, e.family = live, got, []string{got.Refresh}
		return true
	}
	return false
}

// steal presents the code on two gateways at once.
func (w *worker) steal(ctx context.Context, e *entry, code string) {
	type outcome struct {
		got tokens
		a   answer
		err error
	}
	var both [2]outcome
	var all sync.WaitGroup
	for i := range both {
		on := w.client.via(at(names[(w.turn+i)%len(names)]))
		all.Go(func() {
			o := &both[i]
			o.got, o.a, o.err = on.redeem(ctx, code)
		})
	}
	all.Wait()
	won := 0
	for _, o := range both {
		if o.err != nil && ctx.Err() == nil {
			w.ledger.violation("redeem twice: %v", o.err)
		}
		if o.a.status == http.StatusOK {
			won++
			e.held = o.got
		}
	}
	switch {
	case won == 2:
		w.ledger.violation("a code was redeemed twice: doubled")
	case won == 1 && both[0].a.settled() && both[1].a.settled():
		e.fate = stolen
		w.ledger.count("stolen")
	}
}

// use refreshes a few times, every other time at two gateways at once, and perhaps
// revokes.
func (w *worker) use(ctx context.Context, e *entry) {
	for i := range 1 + w.turn%3 {
		turn := w.refresh
		if i%2 == 1 {
			turn = w.refreshTwice
		}
		next, ok := turn(ctx, at(""), e.held.Refresh)
		if !ok {
			return
		}
		e.held = next
		e.family = append(e.family, next.Refresh)
		w.call(ctx, e)
	}
	if w.turn%3 == 0 {
		a := w.persist(ctx, "revoke", func() (answer, error) { return w.client.revoke(ctx, e.held.Refresh) })
		switch {
		case a.status == http.StatusOK:
			e.fate = revoked
			w.ledger.count("revoked")
		case a.status != 0:
			w.ledger.violation("revoke: %d", a.status)
		}
	}
}

// refreshTwice is two processes of the client with the same token.
func (w *worker) refreshTwice(ctx context.Context, _ route, presented string) (tokens, bool) {
	var got [2]tokens
	var ok [2]bool
	var both sync.WaitGroup
	for i := range got {
		both.Go(func() { got[i], ok[i] = w.refresh(ctx, at(names[(w.turn+i)%len(names)]), presented) })
	}
	both.Wait()
	if ok[0] && ok[1] && got[0].Refresh != got[1].Refresh {
		w.ledger.violation("two refreshes of one token brought two: doubled")
	}
	return got[0], ok[0] && ok[1]
}

func (w *worker) refresh(ctx context.Context, r route, presented string) (tokens, bool) {
	on := w.client.via(r)
	var got tokens
	a := w.persist(ctx, "refresh", func() (a answer, err error) {
		got, a, err = on.refresh(ctx, presented)
		on = w.client // a load balancer would not send it there again
		return a, err
	})
	if a.status == http.StatusOK {
		w.ledger.count("refreshed")
		return got, true
	}
	if a.status != 0 {
		w.ledger.violation("refresh: %d: a grant is lost", a.status)
	}
	return tokens{}, false
}

// call uses the newest access token.
func (w *worker) call(ctx context.Context, e *entry) {
	a := w.persist(ctx, "call", func() (answer, error) { return w.client.call(ctx, e.held.Access) })
	if a.status != http.StatusOK && a.status != 0 {
		w.ledger.violation("call: %d: a token that was handed out is lost", a.status)
	}
}
