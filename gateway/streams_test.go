// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// testbed is a guard over a scripted store, for tests that look inside.
type testbed struct {
	t     testing.TB
	store *scriptedStore
	st    *State
	guard *Guard
}

func newTestbed(t testing.TB) *testbed {
	t.Helper()
	store := newScriptedStore()
	st := newTestState(store)
	res := &Resource{Path: "/mcp", Scopes: []string{"mcp"}, Policy: testPolicy(t, "any"), IdentityHeaders: true}
	return &testbed{t, store, st, newGuard(st, testIssuer, res, slog.New(slog.DiscardHandler))}
}

// bearerRequest makes a request of a new grant of the person.
func (b *testbed) bearerRequest(ctx context.Context, grantID string, p identity.Identity) *http.Request {
	b.store.add(grantID, p)
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, testIssuer+"/mcp", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+sealFor(b.t, b.st, grantID, p))
	return r
}

// inFlight counts the requests the table knows.
func (b *testbed) inFlight() int {
	n := 0
	b.st.streams.each(func(*stream) { n++ })
	return n
}

// call runs a request whose backend answers with this media type and then hangs
// until it is ended. The causes of the ends come out of the channel.
func (b *testbed) call(r *http.Request, mediaType string) <-chan error {
	ended := make(chan error, 1)
	go func() {
		err := b.guard.Serve(httptest.NewRecorder(), r, "/mcp", func(w http.ResponseWriter, r *http.Request, _ *Admitted) error {
			if mediaType != "" {
				w.Header().Set("Content-Type", mediaType)
				w.WriteHeader(http.StatusOK)
			}
			<-r.Context().Done()
			ended <- endOf(w, r)
			return nil
		})
		if unavailable := (*Unavailable)(nil); err != nil && !errors.As(err, &unavailable) {
			b.t.Errorf("serve: %v", err)
		}
	}()
	return ended
}

// endOf is why a call ended: what ended it here, or else its context's cause.
func endOf(w http.ResponseWriter, r *http.Request) error {
	if cause := w.(*guardedWriter).stream.cause(); cause != nil {
		return cause
	}
	return context.Cause(r.Context())
}

// over reports the cause of an ended call, and nil while it runs.
func over(c <-chan error) error {
	select {
	case err := <-c:
		return err
	default:
		return nil
	}
}

// Revocation ends the streams of that grant, not those of anybody else, not even
// of the same person's other client.
func TestRevocationEndsOpenStreamsOfThatGrantOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newTestbed(t)
		const n = 1000 // many in every shard
		ctx, cleanUp := context.WithCancel(t.Context())
		calls := map[string]<-chan error{}
		for i := range n {
			id := fmt.Sprint("g", i)
			calls[id] = b.call(b.bearerRequest(ctx, id, person(fmt.Sprint(i%7+1))), "text/event-stream")
		}
		calls["g5 again"] = b.call(b.bearerRequest(ctx, "g5", person("6")), "application/json")
		synctest.Wait()
		if b.inFlight() != n+1 {
			t.Errorf("%d in flight", b.inFlight())
		}
		if err := b.st.revokeGrant(ctx, testIssuer, "g5"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for id, c := range calls {
			var want error
			if id == "g5" || id == "g5 again" {
				want = errStreamRevoked
			}
			if got := over(c); !errors.Is(got, want) {
				t.Errorf("%s ended with %v, want %v", id, got, want)
			}
		}
		cleanUp()
		synctest.Wait()
		if b.inFlight() != 0 {
			t.Errorf("%d streams stayed in the table", b.inFlight())
		}
	})
}

// A client closes the stream that it listened on, as clients do all day. To a proxy
// that would be a failure of the backend, worth a warning with every header of the
// request. A stream that did not begin ends as broken off.
func TestClientThatStopsListeningIsNoFailure(t *testing.T) {
	t.Parallel()
	for mediaType, want := range map[string]error{"text/event-stream": io.EOF, "": context.Canceled, "application/json": context.Canceled} {
		t.Run(mediaType, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newTestbed(t)
				ctx, hangUp := context.WithCancel(t.Context())
				r := b.bearerRequest(ctx, "g1", person("1"))
				r.Method = http.MethodGet
				ended := b.call(r, mediaType)
				synctest.Wait()
				if err := over(ended); err != nil || b.inFlight() != 1 {
					t.Fatalf("ended by itself with %v, %d in flight", err, b.inFlight())
				}
				hangUp()
				synctest.Wait()
				if err := over(ended); !errors.Is(err, want) || b.inFlight() != 0 {
					t.Errorf("ended with %v, want %v; %d in flight", err, want, b.inFlight())
				}
			})
		})
	}
}

// A call is waiting for its answer when its grant is revoked, or when the process
// exits. The proxy would make a bad gateway of it: the client learns what happened.
func TestCallInFlightIsAnsweredByUs(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		end    func(*testbed)
		status int
		wrote  bool
	}{
		"revoked":                      {func(b *testbed) { _ = b.st.revokeGrant(b.t.Context(), testIssuer, "g1") }, http.StatusUnauthorized, false},
		"exit":                         {func(b *testbed) { b.st.EndStreams(); time.Sleep(time.Minute) }, http.StatusServiceUnavailable, false},
		"revoked, and an event stream": {func(b *testbed) { _ = b.st.revokeGrant(b.t.Context(), testIssuer, "g1") }, http.StatusOK, true},
		"revoked, and half an answer":  {func(b *testbed) { _ = b.st.revokeGrant(b.t.Context(), testIssuer, "g1") }, http.StatusOK, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newTestbed(t)
				rec, badGateway := httptest.NewRecorder(), errors.New("bad gateway")
				done := make(chan error, 1)
				go func() {
					done <- b.guard.Serve(rec, b.bearerRequest(t.Context(), "g1", person("1")), "/mcp",
						func(w http.ResponseWriter, r *http.Request, _ *Admitted) error {
							stream := strings.HasSuffix(name, "event stream")
							if stream {
								w.Header().Set("Content-Type", "text/event-stream")
							}
							if tc.wrote {
								w.WriteHeader(http.StatusOK)
							}
							<-r.Context().Done()
							// To the proxy io.EOF is all that the backend had to say. Half an
							// answer of another kind must not look complete.
							if cause := context.Cause(r.Context()); (cause == io.EOF) != stream { //nolint:errorlint // as the proxy compares
								t.Errorf("ended with %v", cause)
							}
							return badGateway
						})
				}()
				synctest.Wait()
				tc.end(b)
				err := <-done
				unavailable := (*Unavailable)(nil)
				switch {
				case tc.wrote:
					if !errors.Is(err, badGateway) {
						t.Errorf("got %v, want what the proxy said", err)
					}
				case tc.status == http.StatusServiceUnavailable:
					if !errors.As(err, &unavailable) || rec.Header().Get("Retry-After") == "" {
						t.Errorf("got %v %v", err, rec.Header())
					}
				case err != nil || rec.Code != tc.status || rec.Header().Get("WWW-Authenticate") == "":
					t.Errorf("got %d %v, %v", rec.Code, rec.Header(), err)
				}
			})
		})
	}
}

// A reload judges the open streams again, by the current facts.
func TestRejudgeEndsWhatTheNewConfigurationDoesNotAllow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newTestbed(t)
		ctx, cleanUp := context.WithCancel(t.Context())
		defer cleanUp()
		stays := b.call(b.bearerRequest(ctx, "g1", person("1", "acme")), "text/event-stream")
		left := b.call(b.bearerRequest(ctx, "g2", person("2", "acme")), "text/event-stream")
		plain := b.call(b.bearerRequest(ctx, "g3", person("3")), "")
		synctest.Wait()
		gone := person("2")
		if err := b.st.saveAccount(ctx, nil, gone, nil); err != nil {
			t.Fatal(err)
		}
		p := testPolicy(t, "org:acme")
		b.st.Rejudge(func(resource string, id identity.Identity) bool {
			if resource != testIssuer+"/mcp" {
				t.Errorf("asked about %q", resource)
			}
			return p.Allows(id)
		})
		synctest.Wait()
		if a, b, c := over(stays), over(left), over(plain); a != nil || !errors.Is(b, errStreamDenied) || !errors.Is(c, errStreamDenied) {
			t.Errorf("allowed: %v, left the organization: %v, plain call: %v", a, b, c)
		}
	})
}

// The process exits: event streams, which would hold it up for ever, end at once;
// a call that is about to answer may.
func TestEndStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newTestbed(t)
		events := b.call(b.bearerRequest(t.Context(), "g1", person("1")), "text/event-stream; charset=utf-8")
		odd := b.call(b.bearerRequest(t.Context(), "g2", person("2")), "Text/Event-Stream ;charset")
		plain := b.call(b.bearerRequest(t.Context(), "g3", person("3")), "application/json")
		silent := b.call(b.bearerRequest(t.Context(), "g4", person("4")), "")
		synctest.Wait()
		b.st.EndStreams()
		synctest.Wait()
		if a, b := over(events), over(odd); !errors.Is(a, errStreamExit) || !errors.Is(b, errStreamExit) {
			t.Errorf("event streams ended with %v and %v", a, b)
		}
		late := b.call(b.bearerRequest(t.Context(), "g5", person("5")), "text/event-stream")
		synctest.Wait()
		if err := over(late); !errors.Is(err, errStreamExit) {
			t.Errorf("a stream that opened after the end: %v", err)
		}
		time.Sleep(drainTime - time.Millisecond)
		synctest.Wait()
		if a, b := over(plain), over(silent); a != nil || b != nil {
			t.Errorf("plain calls ended before their time: %v %v", a, b)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if a, b := over(plain), over(silent); !errors.Is(a, errStreamExit) || !errors.Is(b, errStreamExit) {
			t.Errorf("plain calls after the drain: %v %v", a, b)
		}
	})
}

// R10.20: the client going away is a cancellation, which the backend must see.
func TestClientDisconnectCancelsTheBackend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newTestbed(t)
		ctx, hangUp := context.WithCancel(t.Context())
		ended := b.call(b.bearerRequest(ctx, "g", person("1")), "text/event-stream")
		synctest.Wait()
		hangUp()
		synctest.Wait()
		if err := over(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("backend's context: %v", err)
		}
		if b.inFlight() != 0 {
			t.Error("the stream stayed in the table")
		}
	})
}

// A backend that dies, in whatever way, leaves no stream behind, and its panic
// reaches the server as it was.
func TestPanicOfTheBackendUnregisters(t *testing.T) {
	t.Parallel()
	b := newTestbed(t)
	var inside context.Context
	for _, cause := range []error{http.ErrAbortHandler, errors.New("bug")} {
		func() {
			defer func() {
				if got := recover(); got != cause { //nolint:errorlint // identity is what is promised
					t.Errorf("recovered %v, want %v", got, cause)
				}
			}()
			_ = b.guard.Serve(httptest.NewRecorder(), b.bearerRequest(t.Context(), "g", person("1")), "/mcp",
				func(_ http.ResponseWriter, r *http.Request, _ *Admitted) error {
					inside = r.Context()
					if b.inFlight() != 1 {
						t.Errorf("%d in flight", b.inFlight())
					}
					panic(cause)
				})
		}()
		if b.inFlight() != 0 || inside.Err() == nil {
			t.Errorf("after the panic: %d in flight, context %v", b.inFlight(), inside.Err())
		}
	}
}

var _ storage.Store = (*scriptedStore)(nil)

// Somebody who is refused because they left does not keep the stream they had open.
func TestNewFactsEndStreamsThatTheyNoLongerAllow(t *testing.T) {
	t.Parallel()
	b := newTestbed(t)
	stays, leaves := person("1"), person("2")
	var streams [2]stream
	for i, p := range []identity.Identity{stays, leaves} {
		id := "g" + p.ID
		b.store.add(id, p)
		tok, err := b.st.verify(t.Context(), sealFor(t, b.st, id, p), testIssuer, testIssuer+"/mcp", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		b.st.streams.add(t.Context(), tok.grant, &streams[i])
		defer streams[i].remove()
	}
	ended := [2]error{}
	for i := range streams {
		cancel := streams[i].cancel
		streams[i].cancel = func(cause error) { ended[i] = cause; cancel(cause) }
	}
	b.st.SetJudge(func(_ string, id identity.Identity) bool { return len(id.Groups) == 0 })
	left := leaves
	left.Groups = []string{"former"}
	if err := b.st.saveAccount(t.Context(), nil, left, nil); err != nil {
		t.Fatal(err)
	}
	if ended[0] != nil || !errors.Is(ended[1], errStreamRevoked) {
		t.Errorf("ended %v, want only the second one, with its grant", ended)
	}
}
