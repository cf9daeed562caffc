// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// soakUntil does everything that people and programs do, for a long time, and then
// looks for what was lost, what came back, and what grew. The gateway is killed at a
// tenth of the time, so that the process that is watched for growth lives through the
// rest, and reloaded all the while.
func soakUntil(r *rig, o options, report *report) (err error) {
	s, err := newSoak(r, o.soak)
	if s != nil {
		defer func() { err = errors.Join(err, s.close()) }()
	}
	if err != nil {
		return err
	}
	ctx := context.Background()
	if err := s.prepare(ctx); err != nil {
		return err
	}
	idle, err := s.idle()
	if err != nil {
		return err
	}
	s.load(o.soak)
	samples, known, err := s.watch(o.soak)
	close(s.stop)
	s.all.Wait()
	if err != nil {
		return errors.Join(err, s.ledger.failure())
	}
	if err := s.reportFlat(report, o.soak, idle, samples, known); err != nil {
		s.ledger.violation("%v", err)
	}
	if err := s.reportLedger(ctx, report); err != nil {
		return errors.Join(err, s.ledger.failure())
	}
	return s.ledger.failure()
}

// prepare registers the programs that many use, and signs people in.
func (s *soak) prepare(ctx context.Context) error {
	for range soakShared {
		if p := s.register(ctx); p != nil {
			s.shared = append(s.shared, p)
		}
	}
	if len(s.shared) < soakShared {
		return s.ledger.failure()
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range soakGrants / 8 {
				s.signIn(ctx)
			}
		})
	}
	all.Wait()
	s.reload()
	return s.ledger.failure()
}

// watch samples the gateway for a time, and kills it once. known is how many access
// tokens there were then.
func (s *soak) watch(length time.Duration) (samples []sample, known int, err error) {
	interval := min(10*time.Second, max(2*time.Second, length/60))
	began, killed := time.Now(), false
	for at := interval; at <= length; at += interval {
		time.Sleep(time.Until(began.Add(at)))
		if !killed && at > length/10 {
			killed, known = true, s.ledger.tokens()
			if err := s.restart(true, func() error { return nil }); err != nil {
				return nil, 0, err
			}
			s.ledger.count("kills")
			continue
		}
		taken, err := s.takeSample(at)
		if err != nil {
			return nil, 0, err
		}
		samples = append(samples, taken)
	}
	return samples, known, nil
}

// idle looks at what is left when nothing goes on.
func (s *soak) idle() (sample, error) {
	s.web.CloseIdleConnections()
	time.Sleep(15 * time.Second) // longer than the proxy keeps its connections
	return s.takeSample(0)
}

// idleAgain waits until there is no more left than before. Those to GitHub of a
// configuration that was replaced are kept for a minute and a half.
func (s *soak) idleAgain(before sample) (sample, error) {
	after, err := s.idle()
	for tries := 0; err == nil && tries < 18 && (after.values[0] > before.values[0] || after.values[1] > before.values[1]); tries++ {
		time.Sleep(5 * time.Second)
		after, err = s.takeSample(0)
	}
	return after, err
}

// idleSlack is how much more there may be without load than before it, in the order of
// measures; zero is not judged.
var idleSlack = [len(measures)]float64{8, 4, 0, 0, 0, 0}

// leftOver says what did not come back to what it was.
func leftOver(before, after sample) []error {
	var errs []error
	for i, m := range measures {
		if idleSlack[i] > 0 && after.values[i] > before.values[i]+idleSlack[i] {
			errs = append(errs, fmt.Errorf("%s without load: %.0f before, %.0f after", m.name, before.values[i], after.values[i]))
		}
	}
	return errs
}

// reportFlat says what grew under the load, and what is left without it. known is how
// many access tokens there were when the gateway was started for the last time.
func (s *soak) reportFlat(report *report, length time.Duration, before sample, samples []sample, known int) error {
	verdicts, err := judgeFlat(samples)
	if err != nil {
		return err
	}
	after, err := s.idleAgain(before)
	if err != nil {
		return err
	}
	fmt.Fprintln(report.out)
	report.line(fmt.Sprintf("soak of %s", length), "idle", "first", "quarter", "half", "end", "idle again", "2nd fifth", "last fifth", "")
	report.line("---", "---", "---", "---", "---", "---", "---", "---", "---", "---")
	grew := leftOver(before, after)
	for i, v := range verdicts {
		cells := []string{v.name}
		for _, x := range []float64{before.values[i], v.first, v.quarter, v.half, v.end, after.values[i], v.early, v.late} {
			cells = append(cells, strings.TrimSuffix(fmt.Sprintf("%.1f", x/v.unit), ".0"))
		}
		report.line(append(cells, v.String())...)
		if !v.flat() {
			grew = append(grew, fmt.Errorf("%s grew under the same load, from %.1f to %.1f", v.name, v.early/v.unit, v.late/v.unit))
		}
	}
	tokens := s.ledger.tokens() - known
	fmt.Fprintf(report.out, "\nWithout load the heap is %.1f MB larger than before, %.1f KB for each of the %d access tokens handed out meanwhile.\n\n",
		(after.values[heapInUse]-before.values[heapInUse])/mb, (after.values[heapInUse]-before.values[heapInUse])/1024/float64(max(tokens, 1)), tokens)
	return errors.Join(grew...)
}

// reportLedger ends and starts the gateway, in order and then not, and looks for
// everything that was acknowledged.
func (s *soak) reportLedger(ctx context.Context, report *report) error {
	var stored map[string]int
	if err := s.restart(false, func() (err error) { stored, err = grantsIn(s.statePath); return err }); err != nil {
		return err
	}
	s.ledger.compare(stored)
	checked := s.ledger.audit(ctx)
	if err := s.restart(true, func() error { return nil }); err != nil {
		return err
	}
	checked += s.ledger.audit(ctx)
	after, err := s.takeSample(0)
	if err != nil {
		return err
	}
	report.line("what happened", "times", "")
	report.line("---", "---", "---")
	for _, what := range slices.Sorted(maps.Keys(s.ledger.counts)) {
		report.line(what, fmt.Sprint(s.ledger.counts[what]), "")
	}
	lost, back, other := s.ledger.sum()
	report.line("grants and clients looked for at the end, after SIGTERM and after kill -9", fmt.Sprint(checked), "")
	report.line("lost", fmt.Sprint(lost), "0")
	report.line("resurrected or doubled", fmt.Sprint(back), "0")
	report.line("otherwise wrong", fmt.Sprint(other), "0")
	kept, clients := max(len(stored), 1), s.ledger.clients()
	report.line("state file", fmt.Sprintf("%.1f MB", after.values[stateFile]/mb),
		fmt.Sprintf("%d grants and %d clients are kept: %.1f KB a grant with all that comes with it", kept, clients, after.values[stateFile]/float64(kept)/1024))
	return nil
}
