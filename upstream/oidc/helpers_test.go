// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// clock is a time that passes when a test says so.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func keepsSecret(t *testing.T, err error, secrets ...string) {
	t.Helper()
	for _, s := range secrets {
		if strings.Contains(err.Error(), s) {
			t.Errorf("the error tells a secret: %v", err)
		}
	}
}

// wantRefusal holds that the error is a Refusal for this reason whose cause says
// each of these.
func wantRefusal(t *testing.T, err error, reason upstream.Reason, says ...string) {
	t.Helper()
	var r *upstream.Refusal
	if !errors.As(err, &r) {
		t.Fatalf("error is %T %v, not a refusal", err, err)
	}
	if _, direct := err.(*upstream.Refusal); !direct { //nolint:errorlint // the contract
		t.Errorf("the refusal is wrapped in %T", err)
	}
	if r.Reason != reason {
		t.Errorf("refused as %s, want %s: %v", r.Reason, reason, err)
	}
	if r.Err == nil {
		t.Fatal("refusal without a cause for the log")
	}
	for _, s := range says {
		if !strings.Contains(r.Err.Error(), s) {
			t.Errorf("cause %q does not say %q", r.Err, s)
		}
	}
}
