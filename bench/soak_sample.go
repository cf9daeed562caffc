// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"time"
)

// takeSample looks at the gateway.
func (s *soak) takeSample(at time.Duration) (sample, error) {
	running, err := goroutines(s.rig.gatewayAdmin)
	if err != nil {
		return sample{}, err
	}
	files, err := os.ReadDir(s.rig.gateway.proc("fd"))
	if err != nil {
		return sample{}, err
	}
	m, err := settled(s.rig.gateway, s.rig.gatewayAdmin)
	if err != nil {
		return sample{}, err
	}
	state, err := os.Stat(s.statePath)
	if err != nil {
		return sample{}, err
	}
	return sample{at, [6]float64{
		float64(running), float64(len(files)), float64(m.heap), float64(m.stacks), float64(m.resident), float64(state.Size()),
	}}, nil
}

// goroutines counts those of a Caddy.
func goroutines(admin string) (int, error) {
	total := 0
	err := adminLines(admin, "/debug/pprof/goroutine?debug=1", func(line string) {
		if rest, ok := strings.CutPrefix(line, "goroutine profile: total "); ok {
			total, _ = strconv.Atoi(rest)
		}
	})
	if err == nil && total == 0 {
		err = errors.New("the goroutine profile says no total")
	}
	return total, err
}
