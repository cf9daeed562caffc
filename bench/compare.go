// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"time"
)

const (
	// warmUp is how long each side runs before it is measured: caches fill, and the
	// heap finds its size.
	warmUp = 2 * time.Second
	// slice is how long one side runs before the other one does. What disturbs the
	// machine for longer than that disturbs both.
	slice = 100 * time.Millisecond
	// slicesPerRound are the pairs of slices that give one figure.
	slicesPerRound = 10
)

// comparison is what one side costs beside the other.
type comparison struct {
	cpu, p99 ratio
	// baseline is the processor time of a call on the second side.
	baseline time.Duration
	// allocated is what a call of either side allocates.
	allocated [2]allocation
}

// compare runs a and b in turns, over connections that stay open. Processor time is
// counted over both turns: what a side does after its own, such as collecting garbage,
// is its cost as well.
func compare(a, b contender, conns int, o options) (comparison, error) {
	sides := []contender{a, b}
	var loads [2]*load
	for i, c := range sides {
		l, err := c.call.open(conns)
		if err != nil {
			return comparison{}, err
		}
		defer l.close()
		for begun := false; !begun || l.serial.Load() < 2*int64(len(c.call.tokens)); begun = true {
			if _, err := l.run(warmUp); err != nil {
				return comparison{}, err
			}
		}
		loads[i] = l
	}
	before, err := allocatedBy(sides, loads)
	if err != nil {
		return comparison{}, err
	}
	var cpus, tails [2][]float64
	for range o.rounds {
		r, err := compareOnce([2]*process{a.process, b.process}, loads)
		if err != nil {
			return comparison{}, err
		}
		for i := range r {
			cpus[i] = append(cpus[i], r[i].perRequest)
			tails[i] = append(tails[i], float64(percentile(r[i].latencies, 0.99)))
		}
	}
	mean, _ := meanAndDeviation(cpus[1])
	c := comparison{cpu: pairedRatio(cpus[0], cpus[1]), p99: pairedRatio(tails[0], tails[1]), baseline: time.Duration(mean)}
	after, err := allocatedBy(sides, loads)
	for i := range after {
		c.allocated[i] = after[i].since(before[i])
	}
	return c, err
}

// sideOfRound is one side in one round.
type sideOfRound struct {
	perRequest float64 // nanoseconds of processor time
	latencies  []time.Duration
}

func compareOnce(processes [2]*process, loads [2]*load) (sides [2]sideOfRound, err error) {
	var before [2]time.Duration
	for i, p := range processes {
		if before[i], err = p.cpu(); err != nil {
			return sides, err
		}
	}
	for n := range slicesPerRound {
		for i := range loads {
			side := i ^ n&1
			res, err := loads[side].run(slice)
			if err != nil {
				return sides, err
			}
			sides[side].latencies = append(sides[side].latencies, res.latencies...)
		}
	}
	for i, p := range processes {
		after, err := p.cpu()
		if err != nil {
			return sides, err
		}
		if len(sides[i].latencies) == 0 {
			return sides, errors.New("no request in a whole round")
		}
		sides[i].perRequest = float64(after-before[i]) / float64(len(sides[i].latencies))
	}
	return sides, nil
}
