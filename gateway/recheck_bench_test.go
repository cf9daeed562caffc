// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"testing"
	"time"
)

// Checks and forwarding cost a request nothing that is allocated, and no read of the
// store.
func TestCheckedGuardAllocations(t *testing.T) {
	l := newForwardingLab(t, member(1))
	raw := l.grant("g1", member(1))
	l.wantForwarded(raw, "access-of-1", "at first")
	auth, w, r := []string{"Bearer " + raw}, &discardWriter{header: http.Header{}}, l.request(t.Context(), raw)
	r.Header = typicalHeaders()
	next := func(w http.ResponseWriter, _ *http.Request, _ *Admitted) error {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	reads := l.mem.reads
	got := testing.AllocsPerRun(200, func() {
		r.Header["Authorization"] = auth
		StripInbound(r)
		if err := l.guard.Serve(w, r, "/mcp", next); err != nil {
			t.Fatal(err)
		}
	})
	if got > 4 || l.mem.reads != reads {
		t.Errorf("%v allocations per request, %d reads", got, l.mem.reads-reads)
	}
}

// BenchmarkVouched is what checks add to every request.
func BenchmarkVouched(b *testing.B) {
	bed := newTestbed(b)
	bed.st.SetRecheck(Recheck{Interval: time.Hour})
	b.Cleanup(func() { _ = bed.st.Close() })
	a, now := &liveAccount{}, time.Now()
	a.checkedAt.Store(now.UnixNano())
	b.ReportAllocs()
	for b.Loop() {
		if !bed.st.vouched(a, now) {
			b.Fatal("not vouched for")
		}
	}
}
