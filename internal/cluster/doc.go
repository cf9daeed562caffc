// SPDX-License-Identifier: Apache-2.0

// Package cluster tests several gateways on one store from outside: three compiled
// Caddys as processes of their own, a plain load balancer before them, a real Redis
// or PostgreSQL behind them, and clients that must never notice which gateway
// answers. Then gateways are killed, the store restarts, and the network between
// them breaks.
//
// It has no code of its own, only tests and what they share:
//
//   - gateway_test.go, build_test.go: the gateways under test
//   - store_test.go: the stores, one table for both
//   - link_test.go: what a test cuts between a gateway and its store
//   - netns_linux_test.go: gateways on a network of their own
//   - balancer_test.go: the load balancer, which a client may tell whom to ask
//   - client_test.go: an OAuth client that tells an answer from none
//   - ledger_test.go: what was acknowledged, and whether all of it is there
package cluster
