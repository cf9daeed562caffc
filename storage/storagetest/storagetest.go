// SPDX-License-Identifier: Apache-2.0

// Package storagetest is the contract of storage.Store as a test suite. Every
// engine passes it, and so does one written elsewhere:
//
//	func TestContract(t *testing.T) {
//		storagetest.Run(t, storagetest.Harness{Open: …, Reopen: …})
//	}
package storagetest

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// Harness makes the stores the suite works on. Its functions fail the test
// themselves, and close what they opened at its end; the suite may have done so
// before.
type Harness struct {
	// Open returns a store that is empty and shares nothing with any other.
	Open func(t *testing.T, c Config) storage.Store
	// Reopen closes st, which may be closed already, and opens what it left
	// behind, as the next start of the process does.
	Reopen func(t *testing.T, st storage.Store, c Config) storage.Store
	// Join opens a second store on the state of st while st stays open, as another
	// gateway of the cluster does. Nil where one process at a time has the state.
	Join func(t *testing.T, st storage.Store, c Config) storage.Store
	// Sweep makes st drop at once all that it drops in the background as time goes
	// by. Nil where there is nothing to call: the engine drops with its next write,
	// or never.
	Sweep func(t *testing.T, st storage.Store)
}

// Config is what a test asks of its store.
type Config struct {
	// Now is the clock of the engine.
	Now func() time.Time
	// MaxUnusedClients replaces storage.MaxUnusedClients where positive.
	MaxUnusedClients int
}

// Callers is how many goroutines fight over one record in the tests of what
// happens at most once.
const Callers = 64

// Run runs the whole suite, every test on a store of its own. The tests of
// storage.Feed and storage.Archive are skipped where the store is none.
func Run(t *testing.T, h Harness) {
	t.Helper()
	groups := map[string]map[string]func(*env){
		"Client":         clientTests,
		"UnusedClients":  unusedClientTests,
		"Pending":        pendingTests,
		"Account":        accountTests,
		"Revision":       revisionTests,
		"Accounts":       pageTests,
		"GrantsOf":       grantsOfTests,
		"DeleteSessions": deleteSessionsTests,
		"Key":            keyTests,
		"Cluster":        clusterTests,
		"Feed":           feedTests,
		"FeedRace":       feedRaceTests,
		"FeedWait":       feedWaitTests,
		"Archive":        archiveTests,
		"ArchiveRace":    archiveRaceTests,
		"ArchiveRefuse":  archiveRefuseTests,
		"Grant":          grantTests,
		"RedeemCode":     redeemTests,
		"RotateRefresh":  rotateTests,
		"Reuse":          reuseTests,
		"Hostile":        hostileTests,
		"DeleteClient":   deleteClientTests,
		"DeleteRace":     deleteRaceTests,
		"Once":           onceTests,
		"Session":        sessionTests,
		"TouchSession":   touchTests,
		"Consent":        consentTests,
		"Copies":         copyTests,
		"Lifecycle":      lifecycleTests,
		"Durability":     durabilityTests,
	}
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		t.Run(group, func(t *testing.T) {
			t.Parallel()
			for _, name := range slices.Sorted(maps.Keys(groups[group])) {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					groups[group][name](start(t, h))
				})
			}
		})
	}
}
