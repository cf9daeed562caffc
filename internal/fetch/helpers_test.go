// SPDX-License-Identifier: Apache-2.0

package fetch_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/fetch"
)

// site is a TLS server on loopback with a certificate of a test CA for any name
// below .example. It counts requests, and connections too.
type site struct {
	*httptest.Server
	port     string
	roots    *x509.CertPool
	requests atomic.Int64
	conns    atomic.Int64
}

// quiet: handshakes and handlers that a test makes fail are no news.
var quiet = log.New(io.Discard, "", 0)

func newSite(t *testing.T, h http.HandlerFunc) *site {
	t.Helper()
	s := &site{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		h(w, r)
	}))
	s.Config.ErrorLog = quiet
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.conns.Add(1)
		}
	}
	cert, roots := certificate(t)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.roots = roots
	s.StartTLS()
	t.Cleanup(s.Close)
	_, s.port, _ = net.SplitHostPort(s.Listener.Addr().String())
	return s
}

func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"*.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// client may reach the site, which is on loopback.
func (s *site) client(names *names) *fetch.Client {
	return fetch.New(fetch.Options{RootCAs: s.roots, Resolver: names.resolver(), InsecureAllowLoopback: true})
}

// url of a path at client.example.
func (s *site) url(path string) string { return "https://client.example:" + s.port + path }

// names answers DNS questions: each name with the list for how often it was asked.
type names struct {
	mu      sync.Mutex
	answers map[string][][]netip.Addr
	asked   map[string]int
}

func namesOf(answers map[string][][]netip.Addr) *names {
	return &names{answers: answers, asked: map[string]int{}}
}

// loopback is where every name is that a test does not say otherwise of.
func loopback() *names { return namesOf(nil) }

func (n *names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go n.serve(theirs)
		return ours, nil
	}}
}

// serve speaks DNS over a stream (RFC 1035 §4.2.2), which is what the resolver does
// on a connection that is no packet connection.
func (n *names) serve(c net.Conn) {
	defer c.Close() //nolint:errcheck // a pipe
	for {
		var length [2]byte
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return
		}
		msg := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(c, msg); err != nil {
			return
		}
		answer, err := n.answer(msg)
		if err != nil {
			return
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

func (n *names) answer(msg []byte) ([]byte, error) {
	var p dnsmessage.Parser
	header, err := p.Start(msg)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	header.Response, header.Authoritative, header.RCode = true, true, dnsmessage.RCodeSuccess
	addrs, known := n.lookup(strings.TrimSuffix(q.Name.String(), "."), q.Type)
	if !known {
		header.RCode = dnsmessage.RCodeNameError
	}
	b := dnsmessage.NewBuilder(nil, header)
	if err := errors.Join(b.StartQuestions(), b.Question(q), b.StartAnswers()); err != nil {
		return nil, err
	}
	for _, a := range addrs {
		head := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET}
		if a.Is4() && q.Type == dnsmessage.TypeA {
			err = errors.Join(err, b.AResource(head, dnsmessage.AResource{A: a.As4()}))
		}
		if a.Is6() && q.Type == dnsmessage.TypeAAAA {
			err = errors.Join(err, b.AAAAResource(head, dnsmessage.AAAAResource{AAAA: a.As16()}))
		}
	}
	if err != nil {
		return nil, err
	}
	return b.Finish()
}

func (n *names) lookup(name string, kind dnsmessage.Type) ([]netip.Addr, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.answers == nil {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, strings.HasSuffix(name, ".example")
	}
	list, ok := n.answers[name]
	if !ok {
		return nil, false
	}
	key := name + kind.String()
	i := min(n.asked[key], len(list)-1)
	n.asked[key]++
	return list[i], true
}

// jsonHandler serves a body as JSON; header is name, value, …
func jsonHandler(body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		_, _ = io.WriteString(w, body)
	}
}

// wantFailure checks what every failure has in common: one text.
func wantFailure(t *testing.T, err error, reason fetch.Reason, temporary bool) *fetch.Failure {
	t.Helper()
	var f *fetch.Failure
	if !errors.As(err, &f) {
		t.Fatalf("got %v, want a failure", err)
	}
	if f.Reason != reason || f.Temporary != temporary {
		t.Errorf("got %s, temporary %v, want %s, %v: %s", f.Reason, f.Temporary, reason, temporary, f.Detail())
	}
	if err.Error() != "the document could not be fetched" {
		t.Errorf("the error tells more than it must: %v", err)
	}
	return f
}
