// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
)

// Every configuration brings a registry of its own. The counts go on where the
// last one stopped, and registering twice is no mistake.
func TestEventCountsSurviveAReload(t *testing.T) {
	read := func(registry *prometheus.Registry) map[string]float64 {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() != "caddy_mcp_oauth_events_total" || len(m.GetLabel()) != 1 {
					t.Errorf("unexpected metric %s %v", f.GetName(), m.GetLabel())
				}
				got[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
		return got
	}
	before, after := prometheus.NewPedanticRegistry(), prometheus.NewPedanticRegistry()
	for range 2 {
		if err := registerMetrics(before); err != nil {
			t.Fatal(err)
		}
	}
	start := read(before)
	for _, e := range gateway.Events() {
		if _, ok := start[string(e)]; !ok {
			t.Errorf("%s does not begin at zero", e)
		}
	}
	countEvent(gateway.EventRefreshReused)
	if err := registerMetrics(after); err != nil {
		t.Fatal(err)
	}
	name := string(gateway.EventRefreshReused)
	if got := read(after)[name]; got != start[name]+1 {
		t.Errorf("after the reload %v, want %v", got, start[name]+1)
	}
}
