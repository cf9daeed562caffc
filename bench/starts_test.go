// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"testing"
)

// Starts that each are sure of another ratio make the whole as unsure as they differ.
func TestCombined(t *testing.T) {
	t.Parallel()
	sure := func(mean float64) comparison {
		return comparison{cpu: ratio{mean, mean, mean}, p99: ratio{1, 1, 1}, baseline: 100}
	}
	c := combined([]comparison{sure(1), sure(1.1), sure(1 / 1.1), sure(1)})
	if math.Abs(c.cpu.mean-1) > 1e-9 || c.cpu.low > 0.95 || c.cpu.high < 1.05 || c.p99.high != 1 || c.baseline != 100 {
		t.Errorf("%+v", c)
	}
	if one := combined([]comparison{sure(1.1)}); one != sure(1.1) {
		t.Errorf("one start became %+v", one)
	}
}
