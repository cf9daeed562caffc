// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"net/http"
	"testing"
)

// discardWriter is a response writer that costs nothing.
type discardWriter struct{ header http.Header }

func (w *discardWriter) Header() http.Header         { return w.header }
func (w *discardWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w *discardWriter) WriteHeader(int)             {}

// typicalHeaders is what an MCP client sends besides its token.
func typicalHeaders() http.Header {
	return http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "User-Agent": {"node"},
		"Mcp-Protocol-Version": {"2025-11-25"}, "Accept-Encoding": {"gzip, deflate, br"}, "Content-Length": {"120"},
	}
}

// serveLoop sends requests as they come from the network, to a guard that has a proxy
// inside. What it costs to make their headers is not counted.
func serveLoop(b *testing.B, bed *testbed, authorizations [][]string) {
	b.Helper()
	bed.guard.cfg.DeferIdentity = true
	w := &discardWriter{header: http.Header{}}
	r := bed.bearerRequest(b.Context(), "warm-up", person("1"))
	next := func(w http.ResponseWriter, _ *http.Request, _ *Admitted) error {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	headers := make([]http.Header, 256)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if i%len(headers) == 0 {
			b.StopTimer()
			for n := range headers {
				headers[n] = typicalHeaders()
				headers[n]["Authorization"] = authorizations[(i+n)%len(authorizations)]
			}
			b.StartTimer()
		}
		r.Header = headers[i%len(headers)]
		StripInbound(r)
		if err := bed.guard.Serve(w, r, "/mcp", next); err != nil {
			b.Fatal(err)
		}
	}
}

// tokensOf seals n tokens, each of a grant of its own.
func (b *testbed) tokensOf(n int) [][]string {
	out := make([][]string, n)
	for i := range out {
		id := fmt.Sprint("g", i)
		r := b.bearerRequest(b.t.Context(), id, person(fmt.Sprint(i%500+1), "acme", "acme/eng"))
		out[i] = r.Header["Authorization"]
		b.warm(out[i])
	}
	return out
}

func (b *testbed) warm(authorization []string) {
	w := &discardWriter{header: http.Header{}}
	r := b.bearerRequest(b.t.Context(), "warm-up", person("1"))
	r.Header = http.Header{"Authorization": authorization}
	if err := b.guard.Serve(w, r, "/mcp", func(http.ResponseWriter, *http.Request, *Admitted) error { return nil }); err != nil {
		b.t.Fatal(err)
	}
}

func BenchmarkGuardKnownToken(b *testing.B) {
	bed := newTestbed(b)
	serveLoop(b, bed, bed.tokensOf(1))
}

// BenchmarkWithIdentity is what the transport does of it, for each attempt.
func BenchmarkWithIdentity(b *testing.B) {
	bed := newTestbed(b)
	bed.guard.cfg.DeferIdentity = true
	r := bed.bearerRequest(b.Context(), "g", person("1", "acme"))
	token := r.Header["Authorization"]
	r.Header = typicalHeaders()
	r.Header["Authorization"] = token
	err := bed.guard.Serve(&discardWriter{header: http.Header{}}, r, "/mcp", func(_ http.ResponseWriter, r *http.Request, a *Admitted) error {
		b.ReportAllocs()
		for b.Loop() {
			a.WithIdentity(r.Header)
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

func BenchmarkGuardTenThousandTokens(b *testing.B) {
	bed := newTestbed(b)
	serveLoop(b, bed, bed.tokensOf(10_000))
}

// BenchmarkGuardEvicting is more tokens in use than the tables hold, in turns: every
// request has its token opened, its grant read, from a store that costs nothing, and
// somebody else's put out. No real machine is as badly off.
func BenchmarkGuardEvicting(b *testing.B) {
	bed := newTestbed(b)
	serveLoop(b, bed, bed.tokensOf(maxLiveGrants+maxLiveGrants/10))
	if got := len(bed.st.live.grants); got > maxLiveGrants {
		b.Errorf("%d grants are kept", got)
	}
}

// BenchmarkGuardForgedToken is the attacker's path: the longest he can make it
// without the store.
func BenchmarkGuardForgedToken(b *testing.B) {
	bed := newTestbed(b)
	good := bed.tokensOf(1)[0][0]
	forged := make([][]string, 64)
	for i := range forged {
		forged[i] = []string{good[:len(good)-4] + fmt.Sprintf("AA%02d", i)}
	}
	serveLoop(b, bed, forged)
}

func BenchmarkGuardKnownTokenParallel(b *testing.B) {
	bed := newTestbed(b)
	auth := bed.tokensOf(64)
	next := func(w http.ResponseWriter, _ *http.Request, _ *Admitted) error {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	template := bed.bearerRequest(b.Context(), "warm-up", person("1"))
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		w := &discardWriter{header: http.Header{}}
		r := template.Clone(template.Context())
		r.Header = typicalHeaders()
		for i := 0; pb.Next(); i++ {
			r.Header["Authorization"] = auth[i%len(auth)]
			if err := bed.guard.Serve(w, r, "/mcp", next); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// The hot path has a budget: context (2), request copy, and the one allocation
// that holds everything else.
func TestGuardAllocations(t *testing.T) {
	bed := newTestbed(t)
	bed.guard.cfg.DeferIdentity = true
	auth := bed.tokensOf(1)[0]
	w := &discardWriter{header: http.Header{}}
	r := bed.bearerRequest(t.Context(), "warm-up", person("1"))
	r.Header = typicalHeaders()
	next := func(w http.ResponseWriter, _ *http.Request, _ *Admitted) error {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	got := testing.AllocsPerRun(200, func() {
		r.Header["Authorization"] = auth
		StripInbound(r)
		if err := bed.guard.Serve(w, r, "/mcp", next); err != nil {
			t.Fatal(err)
		}
	})
	if got > 4 {
		t.Errorf("%v allocations per request", got)
	}
}

// Whoever tries tokens makes garbage that honest clients pay for: what is made of the
// token, of the error, and one value for each of four headers.
func TestForgedTokenAllocations(t *testing.T) {
	bed := newTestbed(t)
	good := bed.tokensOf(1)[0][0]
	w := &discardWriter{header: http.Header{}}
	r := bed.bearerRequest(t.Context(), "warm-up", person("1"))
	r.Header = typicalHeaders()
	forged := []string{good[:len(good)-4] + "AAAA"}
	got := testing.AllocsPerRun(200, func() {
		r.Header["Authorization"] = forged
		if err := bed.guard.Serve(w, r, "/mcp", nil); err != nil {
			t.Fatal(err)
		}
	})
	if got > 8 {
		t.Errorf("%v allocations per refusal", got)
	}
}
