// SPDX-License-Identifier: Apache-2.0

package compat

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

func registered(s *Seen) error {
	if s.Registered == nil || s.Registered.Status != http.StatusCreated || s.Registered.Text("client_id") == "" {
		return fmt.Errorf("answer %+v", s.Registered)
	}
	want := (&Client{Registration: s.Asked}).AuthMethod()
	return equal("token_endpoint_auth_method", s.Registered.Text("token_endpoint_auth_method"), want)
}

func registeredURIs(s *Seen) error {
	var asked struct {
		URIs []string `json:"redirect_uris"`
	}
	if err := json.Unmarshal(s.Asked, &asked); err != nil {
		return err
	}
	if got := s.Registered.List("redirect_uris"); !slices.Equal(got, asked.URIs) {
		return fmt.Errorf("redirect_uris %q, asked for %q", got, asked.URIs)
	}
	return nil
}

func noSecret(s *Seen) error {
	if s.Registered.Member("client_secret") != nil || s.Registered.Member("client_secret_expires_at") != nil {
		return errors.New("a public client got a secret")
	}
	return nil
}

// RFC 7591 §3.2.1: client_secret_expires_at is required with a secret.
func secret(s *Seen) error {
	_, expires := s.Registered.Member("client_secret_expires_at").(float64)
	if s.Registered.Text("client_secret") == "" || !expires {
		return errors.New("no client_secret, or nothing about its expiry")
	}
	return nil
}

// unreserved is what RFC 6749 §2.3.1's form encoding leaves alone. The TypeScript
// SDKs do not encode at all.
var unreserved = regexp.MustCompile(`^[A-Za-z0-9._~-]*$`)

func plainCredentials(s *Seen) error {
	for _, name := range []string{"client_id", "client_secret"} {
		if !unreserved.MatchString(s.Registered.Text(name)) {
			return fmt.Errorf("%s needs encoding", name)
		}
	}
	return nil
}

func callbackExact(s *Seen) error {
	if s.Callback == nil {
		return errors.New("no answer")
	}
	u := *s.Callback
	u.RawQuery = ""
	return equal("the answer", u.String(), s.Redirect)
}

func state(s *Seen) error {
	if got := s.Callback.Query()["state"]; len(got) != 1 || got[0] != s.State {
		return fmt.Errorf("state %q, sent %q", got, s.State)
	}
	return nil
}

// promised reports whether the metadata announces RFC 9207.
func (s *Seen) promised() bool {
	return s.Server.Member("authorization_response_iss_parameter_supported") == true
}

func iss(s *Seen) error {
	got := s.Callback.Query()["iss"]
	if !s.promised() && len(got) == 0 {
		return nil
	}
	if len(got) != 1 || got[0] != s.Server.Text("issuer") {
		return fmt.Errorf("iss %q of issuer %q", got, s.Server.Text("issuer"))
	}
	return nil
}

func issOnlyIfPromised(s *Seen) error {
	if s.Callback.Query().Has("iss") && !s.promised() {
		return errors.New("iss without a word about it in the metadata")
	}
	return nil
}

func tokenAnswer(s *Seen) error {
	for _, a := range []*Answer{s.Token, s.Refreshed} {
		expires, ok := a.Member("expires_in").(float64)
		if a == nil || a.Status != http.StatusOK || !strings.HasPrefix(a.Header.Get("Content-Type"), "application/json") ||
			a.Header.Get("Cache-Control") != "no-store" || a.Text("access_token") == "" ||
			!strings.EqualFold(a.Text("token_type"), "bearer") || !ok || expires <= 0 {
			return errors.New("not a token response")
		}
	}
	return nil
}

func refreshToken(s *Seen) error {
	if s.Token.Text("refresh_token") == "" {
		return errors.New("no refresh token")
	}
	return nil
}

func refreshed(s *Seen) error {
	if s.Refreshed.Text("refresh_token") == "" || s.Refreshed.Text("access_token") == s.Token.Text("access_token") {
		return errors.New("nothing new")
	}
	return nil
}
