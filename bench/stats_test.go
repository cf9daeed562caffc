// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"testing"
	"time"
)

// Pairs that drift together have a ratio that is known well; a difference that is not
// in the pairs is not found.
func TestPairedRatio(t *testing.T) {
	t.Parallel()
	drifting := []float64{100, 200, 400, 800, 100, 300}
	for name, c := range map[string]struct {
		factor, spread float64
		sure           bool // the interval leaves out 1
	}{
		"same":                {1, 0, false},
		"a tenth more":        {1.1, 0, true},
		"a tenth in noise":    {1.1, 0.5, false},
		"half as much, noisy": {0.5, 0.1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := make([]float64, len(drifting))
			for i, b := range drifting {
				sign := float64(1 - 2*(i%2))
				a[i] = b * c.factor * math.Exp(sign*c.spread)
			}
			r := pairedRatio(a, drifting)
			if math.Abs(r.mean/c.factor-1) > 1e-9 {
				t.Errorf("mean %v, want %v", r.mean, c.factor)
			}
			if sure := r.low > 1 || r.high < 1; sure != c.sure {
				t.Errorf("%v: sure of a difference: %v, want %v", r, sure, c.sure)
			}
		})
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	var all []time.Duration
	for i := range 100 {
		all = append(all, time.Duration(99-i))
	}
	for p, want := range map[float64]time.Duration{0: 0, 0.5: 50, 0.99: 99, 1: 99} {
		if got := percentile(all, p); got != want {
			t.Errorf("percentile %v is %d, want %d", p, got, want)
		}
	}
	if got := percentile(nil, 0.99); got != 0 {
		t.Errorf("of nothing: %d", got)
	}
}
