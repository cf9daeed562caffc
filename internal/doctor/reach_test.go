// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// certificate is signed by itself.
func certificate(t *testing.T, name string, ends time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: ends,
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// What is wrong with the connection is said in words, is everybody's problem, and
// ends the examination.
func TestConnectionsThatFail(t *testing.T) {
	t.Parallel()
	soon := time.Now().Add(90 * 24 * time.Hour)
	dial := func(err error) func(*testing.T, *http.Transport) {
		return func(_ *testing.T, tr *http.Transport) {
			tr.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, err }
		}
	}
	serve := func(name string, ends time.Time, trusted bool) func(*testing.T, *http.Transport) {
		return func(t *testing.T, tr *http.Transport) {
			cert, pool := certificate(t, name, ends)
			srv := httptest.NewUnstartedServer(http.NotFoundHandler())
			srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
			srv.Config.ErrorLog = log.New(io.Discard, "", 0)
			srv.StartTLS()
			t.Cleanup(srv.Close)
			to(tr, srv)
			tr.TLSClientConfig = &tls.Config{RootCAs: x509.NewCertPool()}
			if trusted {
				tr.TLSClientConfig.RootCAs = pool
			}
		}
	}
	for _, tt := range []struct {
		name, check, says string
		break_            func(*testing.T, *http.Transport)
	}{
		{"unknown authority", checkTLS, "does not trust", serve("mcp.example.com", soon, false)},
		{"another name", checkTLS, "for another name", serve("www.example.com", soon, true)},
		{"expired", checkTLS, "has expired", serve("mcp.example.com", time.Now().Add(-time.Hour), true)},
		{"plain http at the port", checkTLS, "something else than TLS", func(t *testing.T, tr *http.Transport) {
			srv := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(srv.Close)
			to(tr, srv)
		}},
		{"no such name", checkConnect, "does not resolve", dial(&net.DNSError{Err: "no such host", Name: "mcp.example.com", IsNotFound: true})},
		{"nobody listens", checkConnect, "is refused", func(t *testing.T, tr *http.Transport) {
			srv := httptest.NewServer(http.NotFoundHandler())
			srv.Close()
			to(tr, srv)
		}},
		{"no answer in time", checkConnect, "no answer in time", func(t *testing.T, tr *http.Transport) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
			tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, l.Addr().String())
			}
		}},
		{"something else", checkConnect, "nothing answers", dial(errors.New("network is unreachable"))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.timeout = 500 * time.Millisecond
			tr, ok := w.client.Transport.(*http.Transport)
			if !ok {
				t.Fatal("no transport")
			}
			tt.break_(t, tr)
			r := w.examine(publicURL)
			c := r.check(t, tt.check)
			if c.Status != Fail || !strings.Contains(c.Summary, tt.says) {
				t.Errorf("%+v", c)
			}
			if len(r.having(Fail)) != 1 || len(r.broken()) != len(families) {
				t.Errorf("failed %v, broken for %v", r.having(Fail), r.broken())
			}
			wantExplained(t, r)
		})
	}
}

// to sends every connection to a server.
func to(tr *http.Transport, srv *httptest.Server) {
	tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, srv.Listener.Addr().String())
	}
}

// A certificate that is about to end still works.
func TestCertificateThatEndsSoon(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.now = func() time.Time { return w.server.Certificate().NotAfter.Add(-50 * time.Hour) }
	r := w.examine(publicURL)
	if c := r.check(t, checkTLS); c.Status != Warn || !strings.Contains(c.Summary, "50 hours") {
		t.Errorf("%+v", c)
	}
}

// Plain http is for this computer only; a redirect to https helps nobody who
// sends a POST.
func TestPlainHTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(http.Handler) http.Handler {
		return redirect(http.StatusPermanentRedirect, publicURL)
	})
	srv := httptest.NewServer(w.server.Config.Handler)
	defer srv.Close()
	tr, ok := w.client.Transport.(*http.Transport)
	if !ok {
		t.Fatal("no transport")
	}
	to(tr, srv)
	r := w.examine("http://mcp.example.com/mcp")
	if c := r.check(t, checkScheme); c.Status != Fail || !strings.Contains(c.Summary, "redirects to https") || len(c.Affects) != len(families) {
		t.Errorf("%+v", c)
	}
	for _, v := range r.Clients {
		if v.Works || v.Blockers[0].Check != checkScheme {
			t.Errorf("%s: %+v", v.ID, v)
		}
	}
	if c := w.examine("http://localhost:8080/mcp").check(t, checkScheme); slices.Contains(c.Affects, goSDK) || !slices.Contains(c.Affects, claudeHosted) && c.Status != Pass {
		t.Errorf("on this computer: %+v", c)
	}
}

// A server on the internet names an address inside: the doctor, which runs inside,
// must not call it. What a cloud's metadata service says would be in the report.
func TestServerCannotSendTheDoctorInside(t *testing.T) {
	t.Parallel()
	const inside = "https://inside.example.com"
	for name, breaks := range map[string]func(http.Handler) http.Handler{
		"by the challenge":            challengeIs(`Bearer resource_metadata="` + inside + `/latest"`),
		"by the resource metadata":    edited(prmPath, map[string]any{"authorization_servers": []string{inside}}),
		"by an endpoint":              edited(wellKnownServer, map[string]any{"token_endpoint": inside + "/token", "registration_endpoint": inside + "/register"}),
		"by a redirect":               at(prmPath, redirect(http.StatusFound, inside+"/latest")),
		"by plain http":               challengeIs(`Bearer resource_metadata="http://inside.example.com/latest"`),
		"by credentials in a address": challengeIs(`Bearer resource_metadata="https://a:b@inside.example.com/latest"`),
	} {
		w := newWorld(t, breaks)
		r := w.examine(publicURL, func(o *Options) {
			o.Register = true
			o.Lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
				if host == "inside.example.com" {
					return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
				}
				return []netip.Addr{w.address}, nil
			}
		})
		for _, q := range w.seen() {
			if q.Host == "inside.example.com" {
				t.Errorf("%s: %s %s was sent there", name, q.Method, q.URL)
			}
		}
		if !r.Failed && name != "by an endpoint" {
			t.Errorf("%s: nothing fails", name)
		}
	}
}

// Redirects of metadata are followed at the origin, a few times, and no further.
func TestRedirectsOfMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t, at(prmPath, redirect(http.StatusFound, prmPath+"/")))
	r := w.examine(publicURL)
	if e := r.check(t, checkMetadata); e.Status != Pass {
		t.Errorf("a redirect at the origin: %+v", e)
	}
	w = newWorld(t, at(prmPath, redirect(http.StatusFound, prmPath)))
	r = w.examine(publicURL)
	if c := r.check(t, checkMetadata); c.Status != Fail || !strings.Contains(c.Summary, "302") {
		t.Errorf("a loop: %+v", c)
	}
	if n := len(w.seen()); n > 40 {
		t.Errorf("%d requests in a loop", n)
	}
}

// A server that wants to repaint the operator's terminal, or hide a line in it.
func TestServerCannotWriteToTheTerminal(t *testing.T) {
	t.Parallel()
	const evil = "\x1b[2J\x1b]0;owned\x07\u202e\u200b"
	w := newWorld(t, both(
		edited(prmPath, map[string]any{"resource": "https://x/" + evil, evil: null}),
		edited(wellKnownServer, map[string]any{"issuer": evil}),
		at("/token", serveStatus(400, `{"error":"\u001b[31m"}`), http.MethodPost),
		header("/mcp", 401, "WWW-Authenticate", "Bearer realm=\"\u202e\xff\""),
	))
	out := text(t, w.examine(publicURL))
	for _, bad := range []string{"\x1b", "\x07", "\u202e", "\u200b", "\xff"} {
		if strings.Contains(out, bad) {
			t.Errorf("the report contains %q", bad)
		}
	}
}

// Bodies are bounded and streams not begun: the examination ends, and soon.
func TestEndlessAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat(" ", 64<<10)); err != nil {
					return
				}
			}
		})
	})
	w.timeout = 5 * time.Second
	if r := w.examine(publicURL); !r.Failed {
		t.Error("nothing fails")
	}
}

// Ctrl-C, or the caller's time limit, is an error and no report.
func TestCancelledExamination(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	w := newWorld(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { cancel() })
	})
	r, err := Run(ctx, publicURL, Options{Client: w.client})
	if r != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", r, err)
	}
}
