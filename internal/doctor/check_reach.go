// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"
)

// connectCheck is about reaching the server at all.
func connectCheck(o *observation) Check {
	e := o.first()
	if e.Err == nil || tlsProblem(e.Err) != "" {
		s := "the server answers"
		if e.Err == nil && e.Proto == "HTTP/2.0" {
			s += " over HTTP/2"
		}
		return pass(checkConnect, s)
	}
	summary, mend := "nothing answers", "See whether the server runs and a firewall lets its port through."
	var dns *net.DNSError
	switch {
	case errors.As(e.Err, &dns):
		summary, mend = "the name does not resolve", "Create a DNS record for "+printable(o.target.parsed.Hostname())+", or mend the typing error."
	case errors.Is(e.Err, syscall.ECONNREFUSED):
		summary, mend = "the connection is refused", "Start the server, or mend the port in the URL."
	case timedOut(e.Err):
		summary = "no answer in time"
	}
	return fail(checkConnect, summary, mend, seen(e)...)
}

// tlsProblem puts an error of the TLS handshake into words, "" for other errors.
func tlsProblem(err error) string {
	var (
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
		alert   tls.AlertError
		verify  *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &unknown):
		return "the certificate was issued by an authority that this computer does not trust, or an intermediate certificate is missing"
	case errors.As(err, &host):
		return "the certificate is for another name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate has expired or is not valid yet, or a clock is wrong"
	case errors.As(err, &record), err != nil && strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		return "the port speaks something else than TLS, for example plain http"
	case errors.As(err, &invalid), errors.As(err, &verify):
		return "the certificate is not acceptable"
	case errors.As(err, &alert), err != nil && strings.Contains(err.Error(), "tls: "):
		return "the TLS handshake fails"
	}
	return ""
}

// tlsCheck is about the certificate. Caddy obtains one by itself, so what is wrong
// is nearly always DNS, a port, or `tls internal`.
func tlsCheck(o *observation) Check {
	e := o.first()
	if e.Err == nil {
		if left := e.CertificateEnds.Sub(o.now); !e.CertificateEnds.IsZero() && left < 7*24*time.Hour {
			return warn(checkTLS, fmt.Sprintf("the certificate ends in %d hours", int(left.Hours())),
				"Caddy renews earlier than that: look for renewal errors in its log.")
		}
		return pass(checkTLS, "the certificate is trusted here; "+e.TLSVersion)
	}
	problem := tlsProblem(e.Err)
	if problem == "" {
		return skip(checkTLS, "there is no connection")
	}
	return fail(checkTLS, problem, "Let Caddy get a public certificate: the name must resolve to it, and ports 80 or 443 must reach it from the internet. "+
		"With `tls internal`, every computer with a client must trust Caddy's root (`caddy trust`; NODE_EXTRA_CA_CERTS for clients on Node.js), "+
		"and hosted clients cannot connect.", seen(e)...)
}

func schemeCheck(o *observation) Check {
	switch {
	case o.target.https():
		return pass(checkScheme, "the URL is https")
	case o.target.loopback():
		return pass(checkScheme, "plain http, on this computer only")
	}
	summary := "the URL is plain http"
	if e := o.first(); e.redirect() && strings.HasPrefix(e.Header.Get("Location"), "https://") {
		summary = "the URL is http and redirects to https; clients lose the body or the token of a POST on the way"
	}
	return fail(checkScheme, summary, "Give people the https:// URL.", seen(o.first())...)
}

func addressCheck(o *observation) Check {
	host := printable(o.target.parsed.Hostname())
	switch {
	case o.target.loopback() || slices.ContainsFunc(o.addresses, private):
		return warn(checkAddress, host+" is an address of this computer or of a private network",
			"Hosted clients such as claude.ai and ChatGPT connect from the internet: they need a public name. For clients on this network all is well.")
	case o.lookupErr != nil || len(o.addresses) == 0:
		return skip(checkAddress, host+" could not be resolved here")
	}
	return pass(checkAddress, host+" is a public address")
}

// maxSkew is what token lifetimes and signatures tolerate.
const maxSkew = 60 * time.Second

func clockCheck(o *observation) Check {
	date, err := http.ParseTime(o.first().Header.Get("Date"))
	if err != nil {
		return skip(checkClock, "the answers carry no date")
	}
	if skew := date.Sub(o.now).Abs(); skew > maxSkew {
		return warn(checkClock, fmt.Sprintf("the server's clock and this one differ by %s", skew.Round(time.Second)),
			"Set both by NTP. Tokens and certificates seem expired, or not valid yet, to whoever's clock is wrong.", o.first().header("Date"))
	}
	return pass(checkClock, "the server's clock agrees with this one")
}
