// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"testing"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/crypto/bcrypt"

	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// The attack: somebody who may reload the configuration, or who waits for those who
// do, guesses five times after each reload.
func TestThrottleOutlivesAReload(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte(alicePassword), 10)
	if err != nil {
		t.Fatal(err)
	}
	provision := func(name string) *Local {
		t.Helper()
		l := &Local{Name: name, Users: []LocalUser{{Name: "alice", Hash: string(hash)}}}
		if err := l.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
		return l
	}
	guess := func(l *Local) error {
		t.Helper()
		up, err := l.Build(policy.Needs{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = up.(upstream.PasswordChecker).Authenticate(t.Context(), "alice", alicePassword, "192.0.2.7")
		return err
	}
	running := provision("home")
	for range 5 {
		up, err := running.Build(policy.Needs{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = up.(upstream.PasswordChecker).Authenticate(t.Context(), "alice", "wrong", "192.0.2.7")
	}
	reloaded := provision("home")
	if err := running.Cleanup(); err != nil {
		t.Fatal(err)
	}
	if guess(reloaded) == nil {
		t.Error("the sixth guess in a row was heard after a reload")
	}
	other := provision("family")
	if err := guess(other); err != nil {
		t.Errorf("another list of users: %v", err)
	}
	for _, l := range []*Local{reloaded, other} {
		if err := l.Cleanup(); err != nil {
			t.Fatal(err)
		}
	}
	if err := new(Local).Cleanup(); err != nil {
		t.Errorf("cleaning up what was never provisioned: %v", err)
	}
	fresh := provision("home")
	if err := guess(fresh); err != nil {
		t.Errorf("after the last configuration with a list is gone: %v", err)
	}
	if err := fresh.Cleanup(); err != nil {
		t.Fatal(err)
	}
}
