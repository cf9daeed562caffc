// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	// floodRate is how many forged tokens a second the gateway is sent, over
	// floodConns connections that stay open.
	floodRate  = 5000
	floodConns = 50
	// floodSlice is long enough for a percentile and short enough for a pair to see
	// the same machine.
	floodSlice = 500 * time.Millisecond
)

// flood measures what honest clients notice of an attacker who tries tokens as fast
// as he can. Attacker, clients and backend share the machine with the gateway, so the
// same is done to plain Caddy, which answers the attacker without looking.
func flood(r *rig, o options, report *report) error {
	if err := r.start(1000); err != nil {
		return err
	}
	gateway, plain := r.viaGateway(100), r.viaPlain()
	forged := "mcpat_" + strings.Repeat("A", len(r.state.accessToken(0))-6)
	attackGateway := call{addr: r.gatewayAddr, tokens: []string{forged}, status: http.StatusUnauthorized}
	attackPlain := attackGateway
	attackPlain.addr, attackPlain.path = r.plainAddr, refusedPath
	for _, side := range []struct {
		name           string
		honest, attack call
		target         string
	}{
		{"p99 under forged tokens", gateway.call, attackGateway, "≤ 1.5"},
		{"p99 under the same, plain Caddy answers 401", plain.call, attackPlain, ""},
	} {
		tail, rate, err := floodOne(side.honest, side.attack, o.rounds)
		if err != nil {
			return err
		}
		report.add(side.name, tail, side.target, fmt.Sprintf("%.0f forged tokens a second", rate))
	}
	return nil
}

// floodOne compares the 99th percentile of honest calls under attack with that of
// quiet times.
func floodOne(honest, attack call, rounds int) (tail ratio, rate float64, err error) {
	calls, err := honest.open(4)
	if err != nil {
		return ratio{}, 0, err
	}
	defer calls.close()
	attacker, err := attack.open(floodConns)
	if err != nil {
		return ratio{}, 0, err
	}
	defer attacker.close()
	attacker.pace = floodConns * time.Second / floodRate
	var quiet, under []float64
	sent := 0
	for range rounds {
		res, err := calls.run(floodSlice)
		if err != nil {
			return ratio{}, 0, err
		}
		quiet = append(quiet, float64(percentile(res.latencies, 0.99)))
		n := make(chan int, 1)
		failed := make(chan error, 1)
		go func() {
			res, err := attacker.run(floodSlice)
			n <- res.requests
			failed <- err
		}()
		res, err = calls.run(floodSlice)
		sent += <-n
		if err := errors.Join(err, <-failed); err != nil {
			return ratio{}, 0, err
		}
		under = append(under, float64(percentile(res.latencies, 0.99)))
	}
	return pairedRatio(under, quiet), float64(sent) / (float64(rounds) * floodSlice.Seconds()), nil
}
