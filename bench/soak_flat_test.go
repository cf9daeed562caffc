// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"
)

// soakOf makes samples whose first measure is what f says, and the others nothing.
func soakOf(n int, f func(i int) float64) []sample {
	samples := make([]sample, n)
	for i := range samples {
		samples[i].at = time.Duration(i) * 10 * time.Second
		samples[i].values[0] = f(i)
	}
	return samples
}

func TestFlat(t *testing.T) {
	t.Parallel()
	const n = 120 // twenty minutes
	tests := []struct {
		name string
		f    func(i int) float64
		flat bool
	}{
		{"the same all the time", func(int) float64 { return 300 }, true},
		{"up and down by chance", func(i int) float64 { return 300 + float64(i*7%40) }, true},
		{"filling up at the beginning", func(i int) float64 { return min(300, float64(100+10*i)) }, true},
		{"an outlier at the end", func(i int) float64 {
			if i == n-1 {
				return 9000
			}
			return 300
		}, true},
		{"shrinking", func(i int) float64 { return float64(500 - i) }, true},
		{"one more with every sample", func(i int) float64 { return float64(300 + i) }, false},
		{"a step in the middle", func(i int) float64 { return 300 + 100*float64(i/(n/2)) }, false},
		{"a step before the last fifth", func(i int) float64 { return 300 + 60*float64(i/(n*4/5)) }, false},
		{"from nothing", func(i int) float64 { return float64(i) }, false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			verdicts, err := judgeFlat(soakOf(n, tc.f))
			if err != nil {
				t.Fatal(err)
			}
			if v := verdicts[0]; v.flat() != tc.flat {
				t.Errorf("from %v to %v is flat: %v, want %v", v.early, v.late, v.flat(), tc.flat)
			}
		})
	}
}

// Every measure that is judged can grow too much.
func TestEveryMeasureCanFail(t *testing.T) {
	t.Parallel()
	for i, m := range measures {
		samples := soakOf(20, func(int) float64 { return 0 })
		for k := range samples {
			samples[k].values[i] = float64(1+k) * 20 * max(1, m.unit)
		}
		verdicts, err := judgeFlat(samples)
		if err != nil {
			t.Fatal(err)
		}
		for j, v := range verdicts {
			if judged := m.share > 0; j == i && v.flat() == judged || j != i && !v.flat() {
				t.Errorf("with %s growing, %s is flat: %v", m.name, v.name, v.flat())
			}
		}
		if got := verdicts[i].String(); m.share > 0 && got != "**grows**" {
			t.Errorf("%s: %s", m.name, got)
		}
	}
}

func TestTooFewSamples(t *testing.T) {
	t.Parallel()
	if _, err := judgeFlat(soakOf(14, func(int) float64 { return 1 })); err == nil {
		t.Error("14 samples were judged")
	}
}

func TestSamplesShown(t *testing.T) {
	t.Parallel()
	verdicts, err := judgeFlat(soakOf(20, func(i int) float64 { return float64(i) }))
	if err != nil {
		t.Fatal(err)
	}
	v := verdicts[0]
	got := [...]float64{v.first, v.quarter, v.half, v.end, v.early, v.late}
	if want := [...]float64{0, 5, 10, 19, 5.5, 17.5}; got != want {
		t.Errorf("first, quarter, half, end, early, late: %v, want %v", got, want)
	}
}

// What does not come back when the load is over is found.
func TestLeftOver(t *testing.T) {
	t.Parallel()
	before := sample{values: [6]float64{17, 16, 10 * mb, mb, 60 * mb, mb}}
	after := before
	after.values[2], after.values[5] = 90*mb, 9*mb // heap and state file are not judged so
	if errs := leftOver(before, after); len(errs) > 0 {
		t.Errorf("%v", errs)
	}
	after.values[0], after.values[1] = 17+9, 16+5
	if errs := leftOver(before, after); len(errs) != 2 {
		t.Errorf("%v, want goroutines and open files", errs)
	}
}

func TestDuring(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		before, now int64
		want        bool
	}{{0, 0, false}, {2, 2, false}, {0, 1, true}, {1, 1, true}, {1, 2, true}, {0, 2, true}} {
		if got := during(tc.before, tc.now); got != tc.want {
			t.Errorf("from %d to %d: %v, want %v", tc.before, tc.now, got, tc.want)
		}
	}
}
