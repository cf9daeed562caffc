// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
)

const (
	// soakPeople have an account at GitHub each.
	soakPeople = 40
	// soakGrants is how many grants are in use at a time.
	soakGrants = 150
	// soakShared is how many programs many people use. Others have one grant each.
	soakShared = 20
)

// soak is a gateway with a GitHub, and everybody who uses it.
type soak struct {
	rig       *rig
	ledger    *ledger
	statePath string
	hub       *testidp.GitHub
	hubServer *http.Server
	hubURL    string
	// web carries the requests of programs and browsers.
	web       wire
	accessTTL time.Duration
	// people keep their browsers, and what they are signed in to.
	people []*human
	shared []*program

	// gatewayMu is held by whoever ends, starts or reloads the gateway or looks at it.
	gatewayMu sync.Mutex
	// away is odd while the gateway is not there, reloading while it is reloaded. Both
	// count up.
	away, reloading atomic.Int64
	// reloaded is when the last reload was over, in nanoseconds.
	reloaded atomic.Int64
	reloads  int

	stop chan struct{}
	all  sync.WaitGroup
}

// newSoak starts everything over an empty state file.
func newSoak(r *rig, length time.Duration) (*soak, error) {
	if err := r.stop(); err != nil {
		return nil, err
	}
	s := &soak{
		rig: r, ledger: newLedger(), statePath: filepath.Join(r.dir, "soak.db"),
		web:       newWire(),
		accessTTL: max(20*time.Second, (length / 10).Truncate(time.Second)),
		stop:      make(chan struct{}),
	}
	for _, a := range []struct {
		addr *string
		host string
	}{{&r.backendAddr, "127.0.0.1"}, {&r.gatewayAddr, "localhost"}, {&r.gatewayAdmin, "localhost"}} {
		var err error
		if *a.addr, err = freeAddr(a.host); err != nil {
			return nil, err
		}
	}
	if err := s.startHub(); err != nil {
		return nil, err
	}
	return s, errors.Join(r.startBackend(), s.startGateway())
}

// startHub starts the GitHub.
func (s *soak) startHub() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.hub = testidp.New(testidp.Config{RedirectURIs: []string{s.rig.issuer() + "/callback/github"}, RateLimit: 1_000_000})
	s.hub.SetMode(testidp.Interactive)
	s.hubURL = "http://" + l.Addr().String()
	s.hubServer = &http.Server{Handler: s.hub}
	go func() { _ = s.hubServer.Serve(l) }()
	for i := range soakPeople {
		login := fmt.Sprintf("person%d", i)
		s.hub.AddUser(testidp.User{
			ID: int64(1000 + i), Login: login, Name: "Person", Orgs: []string{"acme"},
			Emails: []testidp.Email{{Address: login + "@example.com", Primary: true, Verified: true}},
		})
		s.people = append(s.people, newHuman(login, s.web))
	}
	return nil
}

// subject is what the backend is told about a person.
func (s *soak) subject(person int) string { return fmt.Sprintf("github:%d", 1000+person) }

// program makes a client that is not registered yet.
func (s *soak) program() *program {
	return &program{http: &http.Client{Transport: s.web, Timeout: 30 * time.Second}, origin: s.rig.issuer()}
}

func (s *soak) close() error {
	s.web.CloseIdleConnections()
	return errors.Join(s.rig.stop(), s.hubServer.Shutdown(context.Background()))
}
