// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// hangUpStore is a disk that is syncing when the caller hangs up: what it was asked
// for is done, and the caller is told that their context ended, as the contract of
// the store allows.
type hangUpStore struct {
	storage.Store
	hangUp context.CancelFunc
}

func (s *hangUpStore) RevokeGrant(ctx context.Context, issuer, id string) error {
	err := s.Store.RevokeGrant(context.WithoutCancel(ctx), issuer, id)
	s.hangUp()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (s *hangUpStore) RotateRefresh(ctx context.Context, issuer, id string, r storage.Rotation) (*storage.Rotated, error) {
	rotated, err := s.Store.RotateRefresh(context.WithoutCancel(ctx), issuer, id, r)
	s.hangUp()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return rotated, err
}

// sendAndHangUp posts a form whose sender goes away while the store works.
func (w *world) sendAndHangUp(path, body string) {
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	inner := w.store.Store
	w.store.Store = &hangUpStore{Store: inner, hangUp: cancel}
	defer func() { w.store.Store = inner }()
	r := request(http.MethodPost, path, body, "Content-Type", "application/x-www-form-urlencoded")
	w.ServeHTTP(httptest.NewRecorder(), r.WithContext(ctx))
}

// A client revokes its token while it exits and closes the connection. The grant is
// gone from the store; its access token must not live on in memory.
func TestRevocationWhoseClientHangsUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clientID, tok := w.tokens()
	if resp := w.call(tok.AccessToken); resp.StatusCode != http.StatusOK {
		t.Fatalf("before: %d", resp.StatusCode)
	}
	w.sendAndHangUp(oauth.PathRevoke, with(refreshForm(clientID, tok.RefreshToken), "token", tok.RefreshToken).Encode())
	if resp := w.call(tok.AccessToken); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the revocation: %d", resp.StatusCode)
	}
}

// The victim's old refresh token shows that somebody stole the family, and then the
// connection drops. The thief's access token ends all the same.
func TestReuseWhoseClientHangsUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clientID, tok := w.tokens()
	stolen := decode[tokens](t, w.postForm(oauth.PathToken, refreshForm(clientID, tok.RefreshToken)))
	thief := decode[tokens](t, w.postForm(oauth.PathToken, refreshForm(clientID, stolen.RefreshToken)))
	w.clock.Advance(16 * time.Minute)
	if resp := w.call(thief.AccessToken); resp.StatusCode != http.StatusOK {
		t.Fatalf("before: %d", resp.StatusCode)
	}
	w.sendAndHangUp(oauth.PathToken, refreshForm(clientID, tok.RefreshToken).Encode())
	if resp := w.call(thief.AccessToken); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the reuse: %d", resp.StatusCode)
	}
}

// openStream opens a stream that goes on until it is ended. What comes out of the
// channel is that it was.
func (w *world) openStream(accessToken string) <-chan struct{} {
	w.t.Helper()
	opened, ended := make(chan struct{}), make(chan struct{})
	backend := w.backend
	w.backend = func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		rw.WriteHeader(http.StatusOK)
		close(opened)
		<-r.Context().Done()
		close(ended)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.t.Cleanup(cancel)
	go w.ServeHTTP(httptest.NewRecorder(), request(http.MethodGet, "/mcp", "", bearer(accessToken)...).WithContext(ctx))
	select {
	case <-opened:
	case <-time.After(10 * time.Second):
		w.t.Fatal("the stream did not open")
	}
	w.backend = backend
	return ended
}

// The next request would find out by itself that the grant is gone. An open stream
// has no next request: only that the step is finished, whoever hangs up, ends it.
func TestStreamOfAGrantWhoseRevocationHangsUp(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world, clientID string, tok tokens){
		"revocation": func(w *world, clientID string, tok tokens) {
			w.sendAndHangUp(oauth.PathRevoke, with(refreshForm(clientID, tok.RefreshToken), "token", tok.RefreshToken).Encode())
		},
		"reuse": func(w *world, clientID string, tok tokens) {
			w.sendAndHangUp(oauth.PathToken, refreshForm(clientID, tok.RefreshToken).Encode())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			clientID, tok := w.tokens()
			next := decode[tokens](t, w.postForm(oauth.PathToken, refreshForm(clientID, tok.RefreshToken)))
			newest := decode[tokens](t, w.postForm(oauth.PathToken, refreshForm(clientID, next.RefreshToken)))
			w.clock.Advance(16 * time.Minute)
			ended := w.openStream(newest.AccessToken)
			end(w, clientID, tok)
			select {
			case <-ended:
			case <-time.After(10 * time.Second):
				t.Error("the stream goes on")
			}
		})
	}
}

// Guessing the secret of a client: past the limit the right one is refused too,
// from there and in its name only.
func TestGuessingASecretIsSlowedDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, limits("tokens", 5))
	c := w.registerAs("client_secret_post", webURI)
	try := func(from, secret string) int {
		// Introspection, where a client that is accepted gets 200 for anything: no
		// other limit can stand in for the one that is meant.
		form := with(refreshForm(c.ClientID, "mcprt_x"), "client_secret", secret, "token", "x")
		r := request(http.MethodPost, oauth.PathIntrospect, form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
		r.RemoteAddr = from
		return w.do(r).StatusCode
	}
	for range 5 {
		if got := try("198.51.100.66:1", "guess"); got != http.StatusUnauthorized {
			t.Fatalf("a guess: %d", got)
		}
	}
	if got := try("198.51.100.66:1", c.ClientSecret); got != http.StatusTooManyRequests {
		t.Errorf("the right secret after too many guesses: %d", got)
	}
	if got := try("192.0.2.9:1", c.ClientSecret); got != http.StatusOK {
		t.Errorf("the client itself: %d", got)
	}
}
