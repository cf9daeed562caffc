// SPDX-License-Identifier: Apache-2.0

// Command bench measures what the gateway costs beside plain reverse_proxy: the same
// binary, the same backend, in turns, in processor time as the operating system
// counts it, with every answer checked.
//
//	go run ./bench                     the short run, about twenty minutes
//	go run ./bench -run calls,tokens   some scenarios only
//	go run ./bench -long               more and longer rounds, a million grants
//	go run ./bench -run soak           everything at once for 20 minutes, -soak 3m for three
//
// It uses loopback only and stops by itself. Figures are ratios: compare them, not
// the times, between machines. See docs/performance.md for what they mean.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// options of one run.
type options struct {
	rounds int
	// starts are how often both sides are started anew in a comparison.
	starts int
	round  time.Duration
	grants []int
	long   bool
	// soak is how long the soak lasts.
	soak time.Duration
	// profile is a directory for processor profiles, empty for none.
	profile string
}

type scenario struct {
	name string
	run  func(*rig, options, *report) error
}

// scenarios in the order in which they run.
var scenarios = []scenario{
	{"calls", calls},
	{"live-tokens", liveTokens},
	{"stored-grants", storedGrants},
	{"tokens", refusals},
	{"sse", eventStreams},
	{"bodies", bodies},
	{"logins", logins},
	{"startup", startup},
	{"flood", flood},
	{"streams", streams},
	{"hangups", hangups},
	{"slow-readers", slowReaders},
}

// byName are scenarios that run only if asked for by name.
var byName = []scenario{{"soak", soakUntil}}

func main() {
	if addr := os.Getenv(envBackend); addr != "" {
		fail(serveBackend(addr))
	}
	only := flag.String("run", "", "scenarios to run, separated by commas (default all but soak): "+names())
	long := flag.Bool("long", false, "more rounds, up to a million grants, ten thousand streams")
	binary := flag.String("caddy", "", "the Caddy to measure (default: build one)")
	profile := flag.String("profile", "", "write processor profiles of both sides into this directory, in rounds that are not measured")
	rounds := flag.Int("rounds", 0, "rounds of a comparison, two seconds each (default 30, with -long 60)")
	starts := flag.Int("starts", 6, "how often both sides are started anew in a comparison")
	soak := flag.Duration("soak", 20*time.Minute, "how long the scenario soak lasts, at least a minute")
	flag.Parse()
	o := options{rounds: 30, round: time.Second, grants: []int{1000, 100_000}, long: *long}
	if *long {
		o = options{rounds: 60, round: time.Second, grants: []int{1000, 100_000, 1_000_000}, long: true}
	}
	if *rounds > 0 {
		o.rounds = *rounds
	}
	o.starts = max(1, *starts)
	o.profile, o.soak = *profile, max(time.Minute, *soak)
	fail(run(*only, *binary, o))
}

func run(only, binary string, o options) error {
	chosen, err := choose(only)
	if err != nil {
		return err
	}
	r, err := newRig(binary)
	if err != nil {
		return err
	}
	report := newReport(os.Stdout)
	for _, s := range chosen {
		if err = s.run(r, o, report); err != nil {
			err = fmt.Errorf("%s: %w", s.name, err)
			break
		}
	}
	return errors.Join(err, r.close())
}

func choose(only string) ([]scenario, error) {
	if only == "" {
		return scenarios, nil
	}
	var chosen []scenario
	for name := range strings.SplitSeq(only, ",") {
		all := slices.Concat(scenarios, byName)
		i := slices.IndexFunc(all, func(s scenario) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no scenario %q; there are %s", name, names())
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func names() string {
	var all []string
	for _, s := range slices.Concat(scenarios, byName) {
		all = append(all, s.name)
	}
	return strings.Join(all, ", ")
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
