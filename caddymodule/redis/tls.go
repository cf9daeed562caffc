// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/caddy-mcp/caddy-mcp-oauth/caddymodule/internal/options"
)

// TLS is how to trust the server, and how the server trusts this one.
type TLS struct {
	// CA are files with certificates of authorities in PEM form, which are then the only
	// ones that are trusted. Default: those of the system.
	CA []string `json:"ca,omitempty"`
	// ServerName that the certificate must have, if it is not the host of the address.
	ServerName string `json:"server_name,omitempty"`
	// ClientCertificate and ClientKey are files in PEM form, for a server that asks for a
	// certificate, as Redis does unless its `tls-auth-clients` is `no`.
	ClientCertificate string `json:"client_certificate,omitempty"`
	ClientKey         string `json:"client_key,omitempty"`
}

// config reads the files. Nil is no TLS.
func (t *TLS) config() (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	name, err := options.Expand("tls: server_name", t.ServerName)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12}
	if c.RootCAs, err = t.authorities(); err != nil {
		return nil, err
	}
	if t.ClientCertificate == "" && t.ClientKey == "" {
		return c, nil
	}
	if t.ClientCertificate == "" || t.ClientKey == "" {
		return nil, errors.New("tls: client_certificate: both the certificate and its key are needed")
	}
	cert, err1 := options.Expand("tls: client_certificate", t.ClientCertificate)
	key, err2 := options.Expand("tls: client_key", t.ClientKey)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("tls: client_certificate: %w", err)
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

// authorities are nil for those of the system.
func (t *TLS) authorities() (*x509.CertPool, error) {
	if len(t.CA) == 0 {
		return nil, nil
	}
	pool := x509.NewCertPool()
	for _, raw := range t.CA {
		file, err := options.Expand("tls: ca", raw)
		if err != nil {
			return nil, err
		}
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("tls: ca: %w", err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls: ca: there is no certificate in %s", file)
		}
	}
	return pool, nil
}
