// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/http"
	"testing"
)

// The encryption key is replaced while people work, one machine after the other. At
// any time there are machines that make tokens with one key and machines that make
// them with the other, so every machine has to know the new key before one uses it.
func TestKeyIsReplacedOneMachineAtATime(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, start func(*testing.T) store) {
		c := startCluster(t, start(t), options{})
		alice := c.mustRegister(t, at(""))
		held := alice.mustSignIn(t)
		for _, keys := range []string{
			"{env.TEST_KEY} {env.TEST_OTHER_KEY}", // known everywhere
			"{env.TEST_OTHER_KEY} {env.TEST_KEY}", // used
			"{env.TEST_OTHER_KEY}",                // alone
		} {
			for _, name := range names {
				g := c.gateways[name]
				g.stop()
				g.configure(c.caddyfile(g, options{keys: keys}))
				g.start()
				held = everywhere(t, alice, held)
			}
		}
	})
}

// everywhere refreshes on each gateway in turn; what one handed out is good on all.
// A sign-in may wander between machines with old and new keys.
func everywhere(t *testing.T, alice client, held tokens) tokens {
	t.Helper()
	for _, name := range names {
		next, a, err := alice.via(at(name)).refresh(t.Context(), held.Refresh)
		if err != nil || a.status != http.StatusOK {
			t.Fatalf("refresh on %s: %d %s, %v", name, a.status, a.body, err)
		}
		held = next
		for _, name := range names {
			alice.via(at(name)).mustGet(t, held.Access, http.StatusOK)
		}
	}
	for range names { // round robin: a sign-in has five requests
		alice.elsewhere().mustSignIn(t)
	}
	return held
}
