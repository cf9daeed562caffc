// SPDX-License-Identifier: Apache-2.0

package testidp

import "net/http/httptest"

// Server is a fake GitHub that listens on a loopback port.
type Server struct {
	*GitHub
	// URL is base_url and, with /api/v3 or without, api_url.
	URL string
}

// TB is what Start needs of testing.TB, so that programs that are no tests can
// use this package without linking testing.
type TB interface {
	Helper()
	Cleanup(func())
}

// Start serves a fake until the test ends. Edit changes the configuration first.
func Start(t TB, edit ...func(*Config)) *Server {
	t.Helper()
	var cfg Config
	for _, e := range edit {
		e(&cfg)
	}
	g := New(cfg)
	srv := httptest.NewServer(g)
	t.Cleanup(func() {
		srv.CloseClientConnections() // of requests that Hang
		srv.Close()
	})
	return &Server{GitHub: g, URL: srv.URL}
}

// Octocat is a ready-made user with a verified primary address, in
// organization "github" and its team "github/cats".
func Octocat() User {
	return User{
		ID: 583231, Login: "octocat", Name: "The Octocat",
		Emails: []Email{
			{Address: "octocat@github.example", Primary: true, Verified: true},
			{Address: "cat@example.org", Verified: false},
		},
		Orgs:  []string{"github"},
		Teams: []string{"github/cats"},
	}
}
