// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
)

// pace is how often something was done, and how long one doing took.
type pace struct {
	n         int
	perSecond float64
	median    time.Duration
}

// rate runs one function over and over in several goroutines at once, until the time
// is over or f has no more to do.
func rate(workers int, d time.Duration, f func(worker int) error) (pace, error) {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		took  []time.Duration
		errs  []error
		began = time.Now()
	)
	for w := range workers {
		wg.Go(func() {
			for time.Since(began) < d {
				at := time.Now()
				err := f(w)
				if errors.Is(err, errNoMore) {
					return
				}
				mu.Lock()
				took, errs = append(took, time.Since(at)), append(errs, err)
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	perSecond := float64(len(took)) / time.Since(began).Seconds()
	return pace{len(took), perSecond, percentile(took, 0.5)}, errors.Join(errs...)
}

// errNoMore ends a worker of rate.
var errNoMore = errors.New("no more to do")

// manyClients is how many clients come at once where more than one does.
const manyClients = 16

// logins measures what is made durable at sign-in and refresh: by one client and by
// many, beside what the disk takes for it at that time.
func logins(r *rig, o options, report *report) error {
	for _, clients := range []int{1, manyClients} {
		if err := r.start(10_000); err != nil {
			return err
		}
		if err := durable(r, o, report, "refresh, each grant once", clients, eachOnce(r)); err != nil {
			return err
		}
	}
	a := newAPI(r.issuer())
	for _, work := range []struct {
		what string
		f    func(worker int) error
	}{
		{"refresh without a pause", withoutPause(r)},
		{"registration", func(int) error { _, err := a.register(); return err }},
	} {
		for _, clients := range []int{1, manyClients} {
			if err := durable(r, o, report, work.what, clients, work.f); err != nil {
				return err
			}
		}
	}
	return signIns(r, o, report)
}

// eachOnce is the usual client, which comes back after an hour: no refresh finds
// anything of the one before it.
func eachOnce(r *rig) func(worker int) error {
	a := newAPI(r.issuer())
	var used atomic.Int64
	used.Store(manyClients) // the first grants are for withoutPause
	return func(int) error {
		i := int(used.Add(1)) - 1
		if i >= len(r.state.refresh) {
			return errNoMore
		}
		_, err := a.refresh(r.state.refreshToken(i))
		return err
	}
}

// withoutPause is a client that fills its grant with the retired tokens of the grace.
func withoutPause(r *rig) func(worker int) error {
	a := newAPI(r.issuer())
	tokens := make([]string, manyClients)
	return func(w int) (err error) {
		if tokens[w] == "" {
			tokens[w] = r.state.refreshToken(w)
		}
		tokens[w], err = a.refresh(tokens[w])
		return err
	}
}

// durable reports how long f takes, which is what a client alone waits for, and how
// often it is done.
func durable(r *rig, o options, report *report, what string, clients int, f func(worker int) error) error {
	before, err := measureDisk(r.dir)
	if err != nil {
		return err
	}
	cpu, err := r.gateway.cpu()
	if err != nil {
		return err
	}
	p, err := profiled(r, o, what, clients, f)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	now, err := r.gateway.cpu()
	if err != nil {
		return err
	}
	after, err := measureDisk(r.dir)
	if err != nil {
		return err
	}
	d, us := before.between(after), time.Microsecond
	besides := fmt.Sprintf("%v of processor each; %v", ((now - cpu) / time.Duration(max(p.n, 1))).Round(us), d)
	if clients == 1 {
		in := func(yard time.Duration) float64 { return p.median.Seconds() / yard.Seconds() }
		report.figure(what+", one client", fmt.Sprintf("%.2f commits", in(d.commit)), "≤ 1.5 fsync",
			fmt.Sprintf("%v, %.1f × an appended page, %.1f × a page in place; %s", p.median.Round(us), in(d.appended), in(d.fsync), besides))
		return nil
	}
	times := func(yard time.Duration) float64 { return p.perSecond * yard.Seconds() }
	report.figure(fmt.Sprintf("%s, %d clients", what, clients), fmt.Sprintf("%.2f × one writer's commits", times(d.commit)), "≥ 5 × fsync",
		fmt.Sprintf("%.0f a second, %.1f × appended pages, %.1f × pages in place; %s", p.perSecond, times(d.appended), times(d.fsync), besides))
	return nil
}

// profiled is rate, with a processor profile of the gateway where one is wanted.
func profiled(r *rig, o options, what string, clients int, f func(worker int) error) (pace, error) {
	if o.profile == "" {
		return rate(clients, 2*time.Second, f)
	}
	name := strings.NewReplacer(" ", "-", ",", "").Replace(what)
	file := filepath.Join(o.profile, fmt.Sprintf("%s-%d.pprof", name, clients))
	done := make(chan error, 1)
	go func() { done <- fetchProfile(r.gatewayAdmin, file, 2*time.Second) }()
	p, err := rate(clients, 3*time.Second, f)
	return p, errors.Join(err, <-done)
}

// signIns measures whole sign-ins, at a GitHub of our own: the consent page, the
// decision, the way through GitHub and back, and the code for tokens.
func signIns(r *rig, o options, report *report) error {
	hub := testidp.New(testidp.Config{ClientID: "bench", ClientSecret: "bench-secret", RateLimit: 1 << 30})
	hub.SetMode(testidp.Interactive)
	github := httptest.NewServer(hub)
	defer github.Close()
	if err := r.gateway.stop(); err != nil {
		return err
	}
	config := r.gatewayConfig()
	config = strings.ReplaceAll(config, "http://127.0.0.1:1\n", github.URL+"\n")
	var err error
	if r.gateway, err = r.startCaddy("gateway", r.gatewayAddr, config); err != nil {
		return err
	}
	visitors := make([]*visitor, manyClients)
	for i := range visitors {
		if visitors[i], err = newVisitor(r, hub, github.URL, i); err != nil {
			return err
		}
	}
	for _, clients := range []int{1, manyClients} {
		if err := durable(r, o, report, "sign-in", clients, func(w int) error { return visitors[w].signIn() }); err != nil {
			return err
		}
	}
	return nil
}

// visitor is a person who is signed in at GitHub, at a gateway that has not seen their
// browser yet.
type visitor struct {
	program *program
	login   string
	github  *url.URL
	cookies []*http.Cookie // of GitHub
}

func newVisitor(r *rig, hub *testidp.GitHub, github string, i int) (*visitor, error) {
	who := person(i)
	hub.AddUser(testidp.User{
		ID: int64(i + 1), Login: who.Login, Name: who.Name, Emails: []testidp.Email{{Address: who.Email, Primary: true, Verified: true}},
	})
	at, err := url.Parse(github)
	if err != nil {
		return nil, err
	}
	v := &visitor{program: &program{http: newAPI("").http, origin: r.issuer()}, login: who.Login, github: at}
	if a := v.program.register(context.Background()); a.status != http.StatusCreated {
		return nil, errors.Join(fmt.Errorf("register: %d %s", a.status, a.body), a.err)
	}
	return v, v.signIn()
}

// signIn takes a new browser. The first time the person tells GitHub who they are, and
// that the gateway may know.
func (v *visitor) signIn() error {
	ctx := context.Background()
	h := newHuman(v.login, v.program.http.Transport)
	h.browser.Jar.SetCookies(v.github, v.cookies)
	code, last := h.signIn(ctx, v.program)
	if code == "" {
		return errors.Join(fmt.Errorf("sign in: %d", last.status), last.err)
	}
	v.cookies = h.browser.Jar.Cookies(v.github)
	if _, a := v.program.redeem(ctx, code); a.status != http.StatusOK {
		return errors.Join(fmt.Errorf("redeem: %d %s", a.status, a.body), a.err)
	}
	return nil
}

// startup compares the start over a full store with that over an empty one.
func startup(r *rig, o options, report *report) error {
	took := map[int]time.Duration{}
	most := o.grants[len(o.grants)-1]
	for _, n := range []int{0, most} {
		if err := r.startFilled(n); err != nil {
			return err
		}
		var times []time.Duration
		for range 5 {
			if err := r.gateway.stop(); err != nil {
				return err
			}
			began := time.Now()
			if err := r.startGateway(); err != nil {
				return err
			}
			times = append(times, time.Since(began))
		}
		took[n] = percentile(times, 0.5)
	}
	more := took[most] - took[0]
	report.figure(fmt.Sprintf("start with %d grants", most), more.Round(time.Millisecond).String()+" more than empty", "< 1 s more", took[0].Round(time.Millisecond).String()+" empty")
	return nil
}
