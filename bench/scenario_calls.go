// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"time"
)

// contender is one side of a comparison: a load and the process it is put on.
type contender struct {
	call    call
	process *process
	admin   string
}

func (r *rig) viaGateway(tokens int) contender {
	c := call{addr: r.gatewayAddr, status: http.StatusOK}
	for i := range tokens {
		c.tokens = append(c.tokens, r.state.accessToken(i%r.state.grants))
	}
	grants := r.state.grants
	c.user = func(token int) string { return person(token % grants / grantsPerUser).Subject() }
	return contender{c, r.gateway, r.gatewayAdmin}
}

func (r *rig) viaPlain() contender {
	c := call{addr: r.plainAddr, status: http.StatusOK, tokens: []string{r.state.accessToken(0)}}
	return contender{c, r.plain, r.plainAdmin}
}

// calls compares authenticated tools/call requests with plain reverse_proxy.
func calls(r *rig, o options, report *report) error {
	if err := r.start(1000); err != nil {
		return err
	}
	for _, conns := range []int{1, 8, 64} {
		c, err := r.compareStarts(conns, o, func() (a, b contender) { return r.viaGateway(1), r.viaPlain() })
		if err != nil {
			return err
		}
		if err := profileBoth(o, fmt.Sprint("calls-", conns), conns, r.viaGateway(1), r.viaPlain()); err != nil {
			return err
		}
		report.add(fmt.Sprintf("calls, %d connections", conns), c.cpu, "≤ 1.03", fmt.Sprintf("p99 %s, plain %s a call; %s, plain %s", c.p99, c.baseline.Round(100*time.Nanosecond), c.allocated[0], c.allocated[1]))
	}
	return nil
}

// liveTokens is calls with ten thousand tokens in use at once.
func liveTokens(r *rig, o options, report *report) error {
	if err := r.start(10_000); err != nil {
		return err
	}
	c, err := r.compareStarts(8, o, func() (a, b contender) { return r.viaGateway(10_000), r.viaPlain() })
	if err != nil {
		return err
	}
	report.add("calls, 10,000 live tokens", c.cpu, "≤ 1.05", "p99 "+c.p99.String())
	return nil
}

// storedGrants compares a gateway with many stored grants with itself with few. The
// two cannot run at once, so each is compared with plain reverse_proxy.
func storedGrants(r *rig, o options, report *report) error {
	for _, n := range o.grants {
		if err := r.startFilled(n); err != nil {
			return err
		}
		c, err := r.compareStarts(8, o, func() (a, b contender) { return r.viaGateway(1000), r.viaPlain() })
		if err != nil {
			return err
		}
		report.add(fmt.Sprintf("calls, %d stored grants", n), c.cpu, "within 3 % of each other", "p99 "+c.p99.String())
	}
	return nil
}
