// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"strings"
	"time"
)

// refusals measures what it costs to turn away what must not get through, beside a
// call that plain reverse_proxy lets through.
func refusals(r *rig, o options, report *report) error {
	if err := r.start(1000); err != nil {
		return err
	}
	genuine := r.state.accessToken(0)
	for _, s := range []struct{ name, token string }{
		{"forged", "mcpat_" + strings.Repeat("A", len(genuine)-6)},
		{"expired", r.state.seal(0, r.state.resource, time.Now().Add(-time.Hour))},
		{"foreign", r.state.seal(0, r.issuer()+"/other", time.Now().Add(time.Hour))},
		{"missing", ""},
	} {
		c := r.viaGateway(1)
		c.call.status, c.call.tokens = http.StatusUnauthorized, nil
		if s.token != "" {
			c.call.tokens = []string{s.token}
		}
		cost, err := compare(c, r.viaPlain(), 8, o)
		if err != nil {
			return err
		}
		report.add("refused: "+s.name+" token", cost.cpu, "≤ 0.5", "beside a proxied call")
	}
	return nil
}
