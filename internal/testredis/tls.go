// SPDX-License-Identifier: Apache-2.0

package testredis

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority is a self-signed certificate and its key.
type authority struct {
	cert, key []byte // PEM
}

// TLS listens with TLS only, under the name "redis.test" and the address. The certificate
// is its own authority, see CA.
func TLS(t testing.TB) Option {
	t.Helper()
	a, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.cert)
	return func(o *options) {
		o.tls = a
		o.clientTLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
}

// CA returns the file of the certificate that a client of a server with TLS has to trust.
func (s *Server) CA() string { return filepath.Join(s.dir, "cert.pem") }

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"redis.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &authority{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}, nil
}

// write puts the files where the server reads them and returns the settings for it.
func (a *authority) write(dir string) ([]string, error) {
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := errors.Join(os.WriteFile(cert, a.cert, 0o600), os.WriteFile(key, a.key, 0o600)); err != nil {
		return nil, err
	}
	return []string{"--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert}, nil
}
