// SPDX-License-Identifier: Apache-2.0

package compat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// Answer is one response, as a client sees it.
type Answer struct {
	URL    string
	Status int
	Header http.Header
	Body   []byte
}

// Member reads a member of a JSON answer: nil if it is missing or there is no JSON.
func (a *Answer) Member(name string) any {
	var doc map[string]any
	if a == nil || json.Unmarshal(a.Body, &doc) != nil {
		return nil
	}
	return doc[name]
}

// Text is Member for strings.
func (a *Answer) Text(name string) string {
	s, _ := a.Member(name).(string)
	return s
}

// List is Member for lists of strings.
func (a *Answer) List(name string) []string {
	list, _ := a.Member(name).([]any)
	var out []string
	for _, v := range list {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// Seen is everything a client learned in one sign-in, in the order it did.
type Seen struct {
	// URL is the server's address, as the person entered it.
	URL string
	// First is the answer to the first request, without a token.
	First *Answer
	// Resource and Root are the protected resource metadata at the path and at the
	// root, Server the authorization server metadata.
	Resource, Root, Server *Answer
	// Preflights are the answers to what a browser asks before each of these.
	Preflights []*Answer
	// Asked is the registration body, Registered the answer to it.
	Asked      json.RawMessage
	Registered *Answer
	// Redirect is where the client wanted the code, Callback where it came.
	Redirect string
	State    string
	Callback *url.URL
	// Token and Refreshed are the token responses.
	Token, Refreshed *Answer
}

// challengeURL finds resource_metadata the way most clients do.
var challengeURL = regexp.MustCompile(`resource_metadata="([^"]+)"`)

// challengeScope finds the scopes of a challenge.
var challengeScope = regexp.MustCompile(`scope="([^"]+)"`)

// Challenge is the WWW-Authenticate header of the first answer.
func (s *Seen) Challenge() string {
	if s.First == nil {
		return ""
	}
	return s.First.Header.Get("WWW-Authenticate")
}

// ChallengeURL is where the challenge says the metadata is.
func (s *Seen) ChallengeURL() string { return submatch(challengeURL, s.Challenge()) }

func submatch(re *regexp.Regexp, text string) string {
	if m := re.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// Values are what a client knows so far, for Expand.
func (s *Seen) Values() map[string]string {
	origin, path := s.parts()
	v := map[string]string{
		"url": s.URL, "challenge": s.ChallengeURL(),
		"prm": origin + wellKnownResource + path, "root_prm": origin + wellKnownResource,
		"as": origin + wellKnownServer, "origin": origin, "path": path,
		"resource": s.metadata().Text("resource"), "offline": "",
		"prm_scope": strings.Join(s.metadata().List("scopes_supported"), " "),
		"as_scope":  strings.Join(s.Server.List("scopes_supported"), " "),
	}
	v["scope"] = submatch(challengeScope, s.Challenge())
	if v["scope"] == "" {
		v["scope"] = v["prm_scope"]
	}
	if strings.Contains(" "+v["as_scope"]+" ", " offline_access ") {
		v["offline"] = " offline_access"
	}
	if u, err := url.Parse(v["resource"]); err == nil {
		if u.Path == "" {
			u.Path = "/"
		}
		v["resource_url"] = u.String()
	}
	return v
}

const (
	wellKnownResource = "/.well-known/oauth-protected-resource"
	wellKnownServer   = "/.well-known/oauth-authorization-server"
)

// parts are the origin and the path of the URL, the path without a trailing slash.
func (s *Seen) parts() (origin, path string) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return "", ""
	}
	return u.Scheme + "://" + u.Host, strings.TrimSuffix(u.Path, "/")
}

// metadata is the resource metadata the client uses: that at the path, or that at
// the root.
func (s *Seen) metadata() *Answer {
	if s.Resource != nil {
		return s.Resource
	}
	return s.Root
}

// nulls finds a null member anywhere in a JSON document.
func nulls(doc []byte) error {
	d := json.NewDecoder(bytes.NewReader(doc))
	for {
		t, err := d.Token()
		if err != nil {
			return nil //nolint:nilerr // the end
		}
		if t == nil {
			return fmt.Errorf("a null at byte %d of %s", d.InputOffset(), doc)
		}
	}
}
