// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"time"
)

// sample is what the gateway had of everything at one time of the soak.
type sample struct {
	at time.Duration
	// values in the order of measures.
	values [6]float64
}

// measure is one thing that is sampled.
type measure struct {
	name string
	// unit divides the values in the report.
	unit float64
	// share and slack are how much more than before there may be at the end; no share
	// is no judgement.
	share, slack float64
}

const mb = 1 << 20

// Places of some measures.
const (
	heapInUse = 2
	stateFile = 5
)

// measures in the order of sample.values. Goroutines and files follow the load, which
// is the same all the time but for chance. The state file grows by the grants that are
// kept, see the line on it.
var measures = [6]measure{
	{"goroutines", 1, 0.10, 20},
	{"open files", 1, 0.10, 20},
	{"heap in use, MB", mb, 0.10, 2 * mb},
	{"stacks in use, MB", mb, 0.10, mb},
	{"resident, MB", mb, 0.15, 8 * mb},
	{"state file, MB", mb, 0, 0},
}

// verdict is a measure over the whole soak.
type verdict struct {
	measure
	// first, quarter, half and end are single samples; early and late the medians of
	// the second and the last fifth, over which the load was the same.
	first, quarter, half, end float64
	early, late               float64
}

// flat reports whether it did not grow.
func (v verdict) flat() bool {
	return v.share == 0 || v.late <= v.early*(1+v.share)+v.slack
}

func (v verdict) String() string {
	switch {
	case v.share == 0:
		return "not judged"
	case v.flat():
		return "flat"
	}
	return "**grows**"
}

// judgeFlat compares the samples of a soak. The first fifth is left out: caches fill,
// and the gateway is killed once.
func judgeFlat(samples []sample) ([]verdict, error) {
	const fifths = 5
	n := len(samples)
	if n < 3*fifths {
		return nil, fmt.Errorf("%d samples are too few to judge", n)
	}
	all := make([]verdict, 0, len(measures))
	for i, m := range measures {
		values := make([]float64, n)
		for k, s := range samples {
			values[k] = s.values[i]
		}
		all = append(all, verdict{
			measure: m, first: values[0], quarter: values[n/4], half: values[n/2], end: values[n-1],
			early: median(values[n/fifths : 2*n/fifths]), late: median(values[n-n/fifths:]),
		})
	}
	return all, nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}
