// SPDX-License-Identifier: Apache-2.0

package compat

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

func challenge401(s *Seen) error {
	if s.First == nil || s.First.Status != http.StatusUnauthorized {
		return fmt.Errorf("answer %+v", s.First)
	}
	return nil
}

// The TypeScript parsers take the first word for the scheme.
func challengeBearerFirst(s *Seen) error {
	if !strings.HasPrefix(s.Challenge(), "Bearer ") {
		return fmt.Errorf("WWW-Authenticate: %s", s.Challenge())
	}
	return nil
}

func challengeMetadata(s *Seen) error {
	if s.ChallengeURL() == "" {
		return fmt.Errorf("WWW-Authenticate: %s", s.Challenge())
	}
	return nil
}

func challengePathMetadata(s *Seen) error {
	return equal("resource_metadata", strings.TrimSuffix(s.ChallengeURL(), "/"), s.Values()["prm"])
}

func challengeSameOrigin(s *Seen) error {
	u, err := url.Parse(s.ChallengeURL())
	if err != nil {
		return err
	}
	origin, _ := s.parts()
	return equal("origin of resource_metadata", u.Scheme+"://"+u.Host, origin)
}

// RFC 6750 §3.1: without credentials there is nothing to say about them.
func challengeBare(s *Seen) error {
	if c := s.Challenge(); c == "" || strings.Contains(c, "error") {
		return fmt.Errorf("WWW-Authenticate: %s", c)
	}
	return nil
}

func prmExact(s *Seen) error { return equal("resource", s.Resource.Text("resource"), s.URL) }

func prmEqual(s *Seen) error {
	a, errA := url.Parse(s.metadata().Text("resource"))
	b, errB := url.Parse(s.URL)
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	for _, u := range []*url.URL{a, b} {
		u.Host = strings.ToLower(u.Host)
		if u.Path == "" {
			u.Path = "/"
		}
	}
	return equal("resource", a.String(), b.String())
}

func prmPrefix(s *Seen) error {
	a, errA := url.Parse(s.metadata().Text("resource"))
	b, errB := url.Parse(s.URL)
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	if a.Scheme != b.Scheme || a.Host != b.Host ||
		!strings.HasPrefix(strings.TrimSuffix(b.Path, "/")+"/", strings.TrimSuffix(a.Path, "/")+"/") {
		return fmt.Errorf("resource %q does not cover %q", a, b)
	}
	return nil
}

func rootPRMOrigin(s *Seen) error {
	origin, _ := s.parts()
	return equal("resource at the root", s.Root.Text("resource"), origin)
}

// documents are the metadata that was fetched.
func (s *Seen) documents() []*Answer {
	return slices.DeleteFunc([]*Answer{s.Resource, s.Root, s.Server}, func(a *Answer) bool { return a == nil })
}

func documentsJSON(s *Seen) error {
	docs := s.documents()
	if len(docs) == 0 {
		return errors.New("no document was fetched")
	}
	for _, d := range docs {
		if d.Status != http.StatusOK || !strings.HasPrefix(d.Header.Get("Content-Type"), "application/json") {
			return fmt.Errorf("%s: %d %s", d.URL, d.Status, d.Header.Get("Content-Type"))
		}
	}
	return nil
}

// zod, which checks every answer in the TypeScript SDKs, tells null from absent.
func noNulls(s *Seen) error {
	for _, a := range append(s.documents(), s.Registered, s.Token, s.Refreshed) {
		if a != nil {
			if err := nulls(a.Body); err != nil {
				return fmt.Errorf("%s: %w", a.URL, err)
			}
		}
	}
	return nil
}

func issuerExact(s *Seen) error {
	servers := s.metadata().List("authorization_servers")
	if len(servers) == 0 {
		return errors.New("no authorization_servers")
	}
	return equal("issuer", s.Server.Text("issuer"), servers[0])
}

func sameOriginServer(s *Seen) error {
	origin, _ := s.parts()
	for _, server := range s.metadata().List("authorization_servers") {
		if server != origin {
			return fmt.Errorf("authorization server %s is not on %s", server, origin)
		}
	}
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "registration_endpoint"} {
		if e := s.Server.Text(name); !strings.HasPrefix(e, origin+"/") {
			return fmt.Errorf("%s %q is not on %s", name, e, origin)
		}
	}
	return nil
}

func endpointNames(s *Seen) error {
	for name, end := range map[string]string{
		"authorization_endpoint": "/authorize", "token_endpoint": "/token", "registration_endpoint": "/register",
	} {
		if !strings.HasSuffix(s.Server.Text(name), end) {
			return fmt.Errorf("%s is %q", name, s.Server.Text(name))
		}
	}
	return nil
}

func pkce(s *Seen) error {
	if !slices.Contains(s.Server.List("code_challenge_methods_supported"), "S256") ||
		!slices.Contains(s.Server.List("response_types_supported"), "code") {
		return fmt.Errorf("metadata %s", s.Server.Body)
	}
	return nil
}

func methodOffered(s *Seen) error {
	method := (&Client{Registration: s.Asked}).AuthMethod()
	if offered := s.Server.List("token_endpoint_auth_methods_supported"); !slices.Contains(offered, method) {
		return fmt.Errorf("%s is not among %v", method, offered)
	}
	return nil
}

// cors judges as a browser does. A page reads the answers of other origins only if
// they let it, and asks before it sends a header of its own.
func cors(s *Seen) error {
	if len(s.Preflights) == 0 {
		return errors.New("nothing was asked")
	}
	for _, p := range s.Preflights {
		allowed := strings.ToLower(p.Header.Get("Access-Control-Allow-Headers"))
		if p.Status/100 != 2 || p.Header.Get("Access-Control-Allow-Origin") != "*" ||
			!strings.Contains(allowed, "mcp-protocol-version") || !strings.Contains(allowed, "content-type") {
			return fmt.Errorf("preflight of %s: %d %v", p.URL, p.Status, p.Header)
		}
	}
	for _, a := range append(s.documents(), s.Registered, s.Token) {
		if a != nil && a.Header.Get("Access-Control-Allow-Origin") != "*" {
			return fmt.Errorf("%s may not be read: %v", a.URL, a.Header)
		}
	}
	return nil
}

func equal(what, got, want string) error {
	if got != want {
		return fmt.Errorf("%s is %q, want %q", what, got, want)
	}
	return nil
}
