// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// ratio is what a thing costs beside another one, from pairs of rounds that ran
// one right after the other.
type ratio struct{ mean, low, high float64 }

// pairedRatio is the geometric mean of a[i]/b[i] with its 95 % confidence interval.
// Pairing takes out what changes slowly, like the temperature of the machine.
func pairedRatio(a, b []float64) ratio {
	ratios := make([]float64, min(len(a), len(b)))
	for i := range ratios {
		ratios[i] = a[i] / b[i]
	}
	return ratioOf(ratios)
}

// ratioOf is the geometric mean of ratios with its 95 % confidence interval.
func ratioOf(ratios []float64) ratio {
	logs := make([]float64, len(ratios))
	for i, r := range ratios {
		logs[i] = math.Log(r)
	}
	m, s := meanAndDeviation(logs)
	half := 0.0
	if n := len(logs); n > 1 {
		half = student(n-1) * s / math.Sqrt(float64(n))
	}
	return ratio{math.Exp(m), math.Exp(m - half), math.Exp(m + half)}
}

func (r ratio) String() string { return fmt.Sprintf("%.3f [%.3f, %.3f]", r.mean, r.low, r.high) }

func meanAndDeviation(v []float64) (mean, deviation float64) {
	for _, x := range v {
		mean += x
	}
	mean /= float64(len(v))
	if len(v) < 2 {
		return mean, 0
	}
	for _, x := range v {
		deviation += (x - mean) * (x - mean)
	}
	return mean, math.Sqrt(deviation / float64(len(v)-1))
}

// student is the 97.5 % quantile of Student's distribution.
func student(freedom int) float64 {
	table := []float64{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086}
	if freedom <= len(table) {
		return table[freedom-1]
	}
	return 1.96 + 2.5/float64(freedom)
}

// percentile of durations, which are sorted in place.
func percentile(d []time.Duration, p float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(len(d)-1, int(float64(len(d))*p))]
}
