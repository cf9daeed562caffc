// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"
)

// eventStreams compares answers that are event streams.
func eventStreams(r *rig, o options, report *report) error {
	if err := r.start(1000); err != nil {
		return err
	}
	for _, events := range []int{1, 100} {
		c, err := r.compareStarts(8, o, func() (gateway, plain contender) {
			gateway, plain = r.viaGateway(1), r.viaPlain()
			gateway.call.query = fmt.Sprint("?events=", events)
			plain.call.query = gateway.call.query
			return gateway, plain
		})
		if err != nil {
			return err
		}
		report.add(fmt.Sprintf("event stream, %d events", events), c.cpu, "≤ 1.03",
			fmt.Sprintf("p99 %s, plain %s an event", c.p99, (c.baseline/time.Duration(events)).Round(100*time.Nanosecond)))
	}
	return nil
}
