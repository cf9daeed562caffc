// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// rate runs one function over and over in several goroutines at once.
func rate(workers int, d time.Duration, f func(worker int) error) (perSecond float64, median time.Duration, err error) {
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
	if err := errors.Join(errs...); err != nil {
		return 0, 0, err
	}
	return float64(len(took)) / time.Since(began).Seconds(), percentile(took, 0.5), nil
}

// logins measures what happens at sign-in and refresh, beside what the disk takes to
// make anything durable.
func logins(r *rig, o options, report *report) error {
	const workers = 16
	if err := r.start(1000); err != nil {
		return err
	}
	a := newAPI(r.issuer())
	tokens := make([]string, workers)
	for i := range tokens {
		tokens[i] = r.state.refreshToken(i)
	}
	refresh := func(w int) (err error) {
		tokens[w], err = a.refresh(tokens[w])
		return err
	}
	before, err := fsyncTime(r.dir)
	if err != nil {
		return err
	}
	_, alone, err := rate(1, o.round*2, refresh)
	if err != nil {
		return err
	}
	parallel, _, err := rate(workers, o.round*2, refresh)
	if err != nil {
		return err
	}
	registrations, _, err := rate(workers, o.round*2, func(int) error { _, err := a.register(); return err })
	if err != nil {
		return err
	}
	after, err := fsyncTime(r.dir)
	if err != nil {
		return err
	}
	fsync := (before + after) / 2
	single := 1 / fsync.Seconds()
	report.figure("fsync of one page", fsync.Round(time.Microsecond).String(), "", fmt.Sprintf("%.0f a second, one writer", single))
	report.figure("refresh, one client", fmt.Sprintf("%.2f fsync", alone.Seconds()/fsync.Seconds()), "≤ 1.5 fsync", alone.Round(time.Microsecond).String()+" (median)")
	report.figure("refresh, 16 clients", fmt.Sprintf("%.1f × the single-writer rate", parallel/single), "≥ 5 ×", fmt.Sprintf("%.0f a second", parallel))
	report.figure("registrations, 16 clients", fmt.Sprintf("%.1f × the single-writer rate", registrations/single), "", fmt.Sprintf("%.0f a second", registrations))
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
