// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// floodRate is how many forged tokens a second the gateway is sent.
const floodRate = 5000

// flood measures what honest clients notice of an attacker who tries tokens as fast
// as he can. Connections of the attacker are many and kept open, as he would.
func flood(r *rig, o options, report *report) error {
	if err := r.start(1000); err != nil {
		return err
	}
	honest := r.viaGateway(100)
	var quiet, under []float64
	sent := 0
	for range o.rounds {
		_, p99, err := honest.measure(4, o.round)
		if err != nil {
			return err
		}
		quiet = append(quiet, float64(p99))
		stop := make(chan struct{})
		done := make(chan int)
		go func() { done <- r.attack(stop) }()
		_, p99, err = honest.measure(4, o.round)
		close(stop)
		sent += <-done
		if err != nil {
			return err
		}
		under = append(under, float64(p99))
	}
	report.add("p99 under forged tokens", pairedRatio(under, quiet), "≤ 1.5",
		fmt.Sprintf("%.0f forged tokens a second", float64(sent)/(float64(o.rounds)*o.round.Seconds())))
	return nil
}

// attack sends forged tokens at floodRate until stop, and returns how many.
func (r *rig) attack(stop <-chan struct{}) int {
	const workers = 50
	forged := "mcpat_" + strings.Repeat("A", len(r.state.accessToken(0))-6)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}}
	var wg sync.WaitGroup
	sent := make([]int, workers)
	for w := range workers {
		wg.Go(func() {
			pace := time.NewTicker(workers * time.Second / floodRate)
			defer pace.Stop()
			for {
				select {
				case <-stop:
					return
				case <-pace.C:
				}
				req, err := http.NewRequest(http.MethodPost, "http://"+r.gatewayAddr+"/mcp", strings.NewReader("{}"))
				if err != nil {
					return
				}
				req.Header.Set("Authorization", "Bearer "+forged)
				if resp, err := client.Do(req); err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
					sent[w]++
				}
			}
		})
	}
	wg.Wait()
	total := 0
	for _, n := range sent {
		total += n
	}
	return total
}
