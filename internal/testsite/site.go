// SPDX-License-Identifier: Apache-2.0

// Package testsite is a website for tests of what fetches from strangers: TLS on
// loopback, with a certificate and with names that only the test believes in.
package testsite

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// Site is a TLS server on loopback with a certificate of a test CA for any name
// below .example. It counts requests, and connections too.
type Site struct {
	*httptest.Server
	Port string
	// Roots is the test CA.
	Roots    *x509.CertPool
	requests atomic.Int64
	conns    atomic.Int64
}

// Quiet is the log of servers that a test makes fail: that is no news.
var Quiet = log.New(io.Discard, "", 0)

// New starts a site. It is closed with the test.
func New(tb testing.TB, h http.HandlerFunc) *Site {
	tb.Helper()
	s := &Site{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		h(w, r)
	}))
	s.Config.ErrorLog = Quiet
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.conns.Add(1)
		}
	}
	cert, roots := certificate(tb)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.Roots = roots
	s.StartTLS()
	tb.Cleanup(s.Close)
	_, s.Port, _ = net.SplitHostPort(s.Listener.Addr().String())
	return s
}

func certificate(tb testing.TB) (tls.Certificate, *x509.CertPool) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"*.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// At is the URL of a path at a host name, which has to be below .example.
func (s *Site) At(host, path string) string { return "https://" + host + ":" + s.Port + path }

// Requests is how many requests there were.
func (s *Site) Requests() int64 { return s.requests.Load() }

// Conns is how many connections there were.
func (s *Site) Conns() int64 { return s.conns.Load() }
