// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/bolt"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

const (
	publicOrigin = "https://mcp.example.com"
	publicURL    = publicOrigin + "/mcp"
)

// world is a real gateway on the internet, as far as the doctor can tell.
type world struct {
	t       *testing.T
	client  *http.Client
	server  *httptest.Server
	address netip.Addr
	now     func() time.Time
	timeout time.Duration

	mu       sync.Mutex
	requests []*http.Request
}

// newWorld serves the gateway of publicURL; breaks changes what it answers.
func newWorld(t *testing.T, breaks func(next http.Handler) http.Handler, edit ...func(*gateway.Config)) *world {
	t.Helper()
	w := &world{t: t, address: netip.MustParseAddr("93.184.215.14"), now: time.Now}
	handler := newGateway(t, edit...)
	if breaks != nil {
		handler = breaks(handler)
	}
	w.server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.requests = append(w.requests, r.Clone(context.Background()))
		w.mu.Unlock()
		handler.ServeHTTP(rw, r)
	}))
	w.server.EnableHTTP2 = true
	w.server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused certificates are part of some tests
	w.server.StartTLS()
	t.Cleanup(w.server.Close)
	transport, ok := w.server.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatalf("transport is a %T", w.server.Client().Transport)
	}
	transport = transport.Clone()
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, w.server.Listener.Addr().String())
	}
	w.client = &http.Client{Transport: transport}
	return w
}

// newGateway is the handler of publicOrigin, wired as Caddy wires it.
func newGateway(t *testing.T, edit ...func(*gateway.Config)) http.Handler {
	t.Helper()
	db, err := bolt.Open(filepath.Join(t.TempDir(), "state.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	state := gateway.NewState(gateway.Options{Store: db, Ring: token.NewRing(token.Key{1}), Logger: logger})
	t.Cleanup(func() { _ = state.Close() })
	rule, err := policy.ParseRule("any")
	if err != nil {
		t.Fatal(err)
	}
	allow, err := policy.New([]policy.Rule{rule}, []policy.Ref{{Name: "github", Kind: identity.KindGitHub}})
	if err != nil {
		t.Fatal(err)
	}
	config := gateway.Config{
		Issuer:         publicOrigin,
		Resources:      []*gateway.Resource{{Path: "/mcp", Name: "Weather", Scopes: []string{"mcp"}, Policy: allow}},
		Upstreams:      []upstream.Upstream{nobody{}},
		AccessTokenTTL: time.Hour, RefreshTokenTTL: time.Hour, RefreshGrace: time.Minute,
		Registration: gateway.Registration{Mode: gateway.RegistrationOpen}, Logger: logger,
	}
	for _, e := range edit {
		e(&config)
	}
	server, err := gateway.New(state, config)
	if err != nil {
		t.Fatal(err)
	}
	path := config.Resources[0].Path
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		below := path == "/" || r.URL.Path == path || strings.HasPrefix(r.URL.Path, path+"/")
		if server.ServeEndpoint(w, r) {
			return
		}
		if !below {
			http.NotFound(w, r)
			return
		}
		err := server.Guard(path).Serve(w, r, path, func(w http.ResponseWriter, _ *http.Request, _ *gateway.Admitted) error {
			t.Error("the backend was reached")
			w.WriteHeader(http.StatusOK)
			return nil
		})
		if err != nil {
			t.Errorf("guard: %v", err)
		}
	})
}

// nobody is an upstream at which nobody signs in.
type nobody struct{}

func (nobody) Name() string     { return "github" }
func (nobody) Kind() string     { return identity.KindGitHub }
func (nobody) Label() string    { return "GitHub" }
func (nobody) Scopes() []string { return nil }
func (nobody) AuthCodeURL(context.Context, upstream.AuthRequest) (string, error) {
	return "https://github.example/", nil
}

func (nobody) Identify(context.Context, url.Values, string, string) (*upstream.SignIn, error) {
	return nil, errors.New("nobody signs in here")
}

// examine runs the doctor on an address of the world.
func (w *world) examine(address string, edit ...func(*Options)) *Report {
	w.t.Helper()
	opts := Options{
		Client: w.client, Now: w.now, Timeout: w.timeout,
		Lookup: func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{w.address}, nil },
	}
	for _, e := range edit {
		e(&opts)
	}
	r, err := Run(w.t.Context(), address, opts)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// seen are the requests so far.
func (w *world) seen() []*http.Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.requests)
}

// having are the identifiers of the checks with a status.
func (r *Report) having(s Status) []string {
	var ids []string
	for _, c := range r.Checks {
		if c.Status == s {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// broken are the identifiers of the families that would fail, sorted.
func (r *Report) broken() []string {
	var ids []string
	for _, v := range r.Clients {
		if !v.Works {
			ids = append(ids, v.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

func (r *Report) check(t *testing.T, id string) Check {
	t.Helper()
	for _, c := range r.Checks {
		if c.ID == id {
			return c
		}
	}
	t.Fatalf("there is no check %q", id)
	return Check{}
}

// The breakages.

// at answers one path otherwise, with every method or the named ones.
func at(path string, serve http.HandlerFunc, methods ...string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == path && (len(methods) == 0 || slices.Contains(methods, r.Method)) {
				serve(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// both applies several.
func both(list ...func(http.Handler) http.Handler) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		for _, b := range list {
			next = b(next)
		}
		return next
	}
}

// edited changes the members of a metadata document; nil removes one, null
// makes it null.
func edited(path string, members map[string]any) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != path || r.Method != http.MethodGet {
				next.ServeHTTP(w, r)
				return
			}
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			var doc map[string]any
			_ = json.Unmarshal(rec.Body.Bytes(), &doc) // left empty otherwise, which a test would notice
			for name, v := range members {
				switch v {
				case nil:
					delete(doc, name)
				case null:
					doc[name] = nil
				default:
					doc[name] = v
				}
			}
			for name, values := range rec.Header() {
				w.Header()[name] = values
			}
			w.WriteHeader(rec.Code)
			_ = json.NewEncoder(w).Encode(doc)
		})
	}
}

const null = "\x00null"

// header changes a header of every answer with this status at a path; "" removes it.
func header(path string, status int, name, value string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != path {
				next.ServeHTTP(w, r)
				return
			}
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			if rec.Code == status {
				rec.Header().Del(name)
				if value != "" {
					rec.Header().Set(name, value)
				}
			}
			for name, values := range rec.Header() {
				w.Header()[name] = values
			}
			w.WriteHeader(rec.Code)
			_, _ = w.Write(rec.Body.Bytes())
		})
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func page(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(code)
		_, _ = w.Write([]byte("<!DOCTYPE html><title>Attention required</title>"))
	}
}

func redirect(code int, to string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", to)
		w.WriteHeader(code)
	}
}

func cors(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		next(w, r)
	}
}

func serveJSON(body string) http.HandlerFunc {
	return cors(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	})
}
