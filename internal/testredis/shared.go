// SPDX-License-Identifier: Apache-2.0

package testredis

import (
	"crypto/rand"
	"fmt"
	"os"
	"sync"
	"testing"
)

var shared struct {
	sync.Mutex
	server *Server
	failed error
}

// Shared returns a server that all tests of a package use, started by the first one that
// asks and stopped by Main. Whoever uses it takes a prefix nobody else has.
func Shared(t testing.TB) *Server {
	t.Helper()
	binary := Binary(t)
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil && shared.failed == nil {
		// It outlives t, and so reports nothing to it.
		shared.server, shared.failed = start(nil, binary, []Option{AppendOnly("everysec"), Unix()})
	}
	if shared.failed != nil {
		t.Fatal(shared.failed)
	}
	return shared.server
}

// Main runs the tests of a package and then stops what Shared started. It returns the
// exit status.
func Main(m interface{ Run() int }) int {
	status := m.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		if err := shared.server.end(); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			return max(status, 1)
		}
	}
	return status
}

// Prefix returns a prefix of keys that no test has had.
func Prefix() string { return "test-" + rand.Text() }
