// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"errors"
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
)

// eventCounter exists once per process: every configuration has a registry of its
// own, and the counts must survive a reload. Its label comes from a closed set,
// never from a user, a client or a token (M-39).
var eventCounter = sync.OnceValue(func() *prometheus.CounterVec {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "mcp_oauth", Name: "events_total",
		Help: "What happened in the authorization server, by event.",
	}, []string{"event"})
	for _, e := range gateway.Events() {
		vec.WithLabelValues(string(e)) // an alert needs the zero before the first one
	}
	return vec
})

func countEvent(e gateway.Event) { eventCounter().WithLabelValues(string(e)).Inc() }

// registerMetrics makes the counter visible in this configuration's registry.
func registerMetrics(registry *prometheus.Registry) error {
	err := registry.Register(eventCounter())
	if _, already := errors.AsType[prometheus.AlreadyRegisteredError](err); err != nil && !already {
		return fmt.Errorf("register metrics: %w", err)
	}
	return nil
}
