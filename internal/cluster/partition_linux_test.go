// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// A partition is not an outage: nobody is told, packets are just gone, perhaps in one
// direction only, and the rest of the world goes on. Here every gateway is on a
// network of its own, with a wire to the store's network that swallows packets.
func TestNetworkPartition(t *testing.T) {
	t.Parallel()
	needNamespaces(t)
	onEachStore(t, func(t *testing.T, start func(*testing.T) store) {
		wires := newWires(t)
		c := startCluster(t, start(t), options{network: func(name string) (*namespace, net.Listener) {
			w := wires[name]
			return w.gateway, w.store.listen(t, w.storeAddr+":0")
		}})
		for name, cut := range map[string]func(*wire, *testing.T){
			"both directions": func(w *wire, t *testing.T) { t.Helper(); w.cutRequests(t); w.cutAnswers(t) },
			"requests":        func(w *wire, t *testing.T) { t.Helper(); w.cutRequests(t) },
			"answers":         func(w *wire, t *testing.T) { t.Helper(); w.cutAnswers(t) },
		} {
			t.Run(name, func(t *testing.T) { partition(t, c, wires["B"], cut) })
		}
	})
}

// wire is a pair of interfaces between a gateway's network and the store's. A frame
// to an address that the other end does not have is dropped there, without a word.
type wire struct {
	gateway, store         *namespace
	gatewayAddr, storeAddr string // IP addresses
	gatewayMAC, storeMAC   string
	storeEnd               string // the interface's name; the gateway's is "up"
}

// nobody is a MAC address that no interface has.
const nobody = "02:00:00:00:ff:ff"

// newWires makes one network for the store and one for each gateway.
func newWires(t *testing.T) map[string]*wire {
	t.Helper()
	hub, wires := newNamespace(t), map[string]*wire{}
	for i, name := range names {
		w := &wire{
			gateway: newNamespace(t), store: hub,
			gatewayAddr: fmt.Sprintf("192.0.2.%d", 4*i+2), storeAddr: fmt.Sprintf("192.0.2.%d", 4*i+1),
			gatewayMAC: fmt.Sprintf("02:00:00:00:%02x:02", i), storeMAC: fmt.Sprintf("02:00:00:00:%02x:01", i),
			storeEnd: "to" + name,
		}
		hub.ip(t, fmt.Sprintf("link add %s address %s type veth peer name up address %s netns %s",
			w.storeEnd, w.storeMAC, w.gatewayMAC, w.gateway.path()))
		hub.ip(t, fmt.Sprintf("addr add %s/30 dev %s", w.storeAddr, w.storeEnd))
		hub.ip(t, fmt.Sprintf("link set dev %s up", w.storeEnd))
		w.gateway.ip(t, fmt.Sprintf("addr add %s/30 dev up", w.gatewayAddr))
		w.gateway.ip(t, "link set dev up up")
		w.heal(t)
		wires[name] = w
	}
	return wires
}

// cutRequests loses what the gateway sends, cutAnswers what it is sent.
func (w *wire) cutRequests(t *testing.T) { t.Helper(); w.address(t, nobody, "") }
func (w *wire) cutAnswers(t *testing.T)  { t.Helper(); w.address(t, "", nobody) }
func (w *wire) heal(t *testing.T)        { t.Helper(); w.address(t, w.storeMAC, w.gatewayMAC) }

// address says where the ends of the wire believe each other to be.
func (w *wire) address(t *testing.T, store, gateway string) {
	t.Helper()
	if store != "" {
		w.gateway.ip(t, fmt.Sprintf("neigh replace %s lladdr %s dev up nud permanent", w.storeAddr, store))
	}
	if gateway != "" {
		w.store.ip(t, fmt.Sprintf("neigh replace %s lladdr %s dev %s nud permanent", w.gatewayAddr, gateway, w.storeEnd))
	}
}

// partition cuts B off. A and C go on as if nothing were; B serves whom it knows and
// sends everybody else away for a while.
func partition(t *testing.T, c *cluster, b *wire, cut func(*wire, *testing.T)) {
	alice, bob := c.mustRegister(t, at("A")), c.mustRegister(t, at("A"))
	revoked, kept := alice.mustSignIn(t), bob.mustSignIn(t)
	for _, name := range names {
		alice.via(at(name)).mustGet(t, revoked.Access, http.StatusOK)
		bob.via(at(name)).mustGet(t, kept.Access, http.StatusOK)
	}
	cut(b, t)
	t.Cleanup(func() { b.heal(t) })
	refused := tryBehind(t, alice, bob, kept)
	// The client does not wait for ever and asks the next gateway with the same token,
	// not knowing whether the first one did it.
	next, a, err := bob.via(at("A")).refresh(t.Context(), kept.Refresh)
	if err != nil || a.status != http.StatusOK {
		t.Fatalf("refresh on A: %d, %v", a.status, err)
	}
	c.mustRegister(t, at("C")).mustSignIn(t)

	if a, err := alice.via(at("A")).revoke(t.Context(), revoked.Refresh); err != nil || a.status != http.StatusOK {
		t.Fatalf("revoke: %d, %v", a.status, err)
	}
	took, err := alice.via(at("C")).refusedSince(t.Context(), revoked.Access, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	within(t, "a revocation", "C", took)
	alice.via(at("B")).mustGet(t, revoked.Access, http.StatusOK)
	bob.via(at("B")).mustGet(t, kept.Access, http.StatusOK)
	refused()
	rejoin(t, b, alice, bob, revoked, next, kept)
}

// tryBehind wants of B what only the store could give. What it returns waits for the
// answers, all of which have to be 503.
func tryBehind(t *testing.T, alice, bob client, kept tokens) (refused func()) {
	t.Helper()
	begun := time.Now()
	var all sync.WaitGroup
	for what, try := range map[string]func() (int, error){
		"refresh": func() (int, error) {
			_, a, err := bob.via(at("B")).refresh(t.Context(), kept.Refresh)
			return a.status, err
		},
		"sign-in": func() (int, error) {
			_, end, err := alice.elsewhere().via(at("B")).signIn(t.Context())
			return end.status, err
		},
	} {
		all.Go(func() {
			if status, err := try(); err != nil || status != http.StatusServiceUnavailable {
				t.Errorf("%s on B: %d, %v, want 503", what, status, err)
			}
			t.Logf("%s on B: 503 after %v", what, time.Since(begun).Round(time.Millisecond))
		})
	}
	return all.Wait
}

// rejoin heals the network: B has not missed anything, and what it left half-done
// harms nobody.
func rejoin(t *testing.T, b *wire, alice, bob client, revoked, next, before tokens) {
	t.Helper()
	b.heal(t)
	healed := time.Now()
	eventually(t, "a refusal on B", func() bool { return alice.via(at("B")).status(t, revoked.Access) == http.StatusUnauthorized })
	eventually(t, "a sign-in on B", func() bool {
		code, _, err := bob.elsewhere().via(at("B")).signIn(t.Context())
		return err == nil && code != ""
	})
	t.Logf("B was back %v after the network", time.Since(healed).Round(time.Millisecond))
	bob.via(at("B")).mustGet(t, next.Access, http.StatusOK)
	// What B was asked before the partition and did late, or did unheard, was the same
	// exchange: the family has one end.
	again, a, err := bob.via(at("B")).refresh(t.Context(), before.Refresh)
	if err != nil || a.status != http.StatusOK || again.Refresh != next.Refresh {
		t.Errorf("the repeated refresh on B: %d, %v; the same successor: %v", a.status, err, again.Refresh == next.Refresh)
	}
	for _, name := range names {
		got, a, err := bob.via(at(name)).refresh(t.Context(), next.Refresh)
		if err != nil || a.status != http.StatusOK {
			t.Fatalf("refresh on %s: %d, %v", name, a.status, err)
		}
		next = got
	}
}
