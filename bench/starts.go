// SPDX-License-Identifier: Apache-2.0

package main

import "time"

// compareStarts is compare over several starts of both sides. Where the memory of a
// process came to lie makes it some hundredths faster or slower for as long as it
// runs: more than what is to be told apart, and no number of rounds shows it. sides
// is asked after every start.
func (r *rig) compareStarts(conns int, o options, sides func() (a, b contender)) (comparison, error) {
	starts := min(o.starts, o.rounds)
	each := o
	each.rounds = o.rounds / starts
	var parts []comparison
	for n := range starts {
		if n > 0 {
			if err := r.startOver(r.state); err != nil {
				return comparison{}, err
			}
		}
		a, b := sides()
		c, err := compare(a, b, conns, each)
		if err != nil {
			return comparison{}, err
		}
		parts = append(parts, c)
	}
	return combined(parts), nil
}

// combined takes each part for one measurement, however sure it is of itself.
func combined(parts []comparison) comparison {
	all := parts[len(parts)-1]
	if len(parts) == 1 {
		return all
	}
	var cpu, p99, baseline []float64
	for _, c := range parts {
		cpu, p99, baseline = append(cpu, c.cpu.mean), append(p99, c.p99.mean), append(baseline, float64(c.baseline))
	}
	mean, _ := meanAndDeviation(baseline)
	all.cpu, all.p99, all.baseline = ratioOf(cpu), ratioOf(p99), time.Duration(mean)
	return all
}
