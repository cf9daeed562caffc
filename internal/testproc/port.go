// SPDX-License-Identifier: Apache-2.0

package testproc

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"testing"
)

// Ports from lowest on are given out, below those that systems give to clients, and to
// servers that ask for any: they would be taken again before their user has them.
const (
	lowest = 20000
	ports  = 12000
)

var given sync.Map // of ports that are spoken for in this test run

// FreePort finds a port nobody uses. Another program could take it before its user
// does; that is unlikely enough, and shows as a clear failure.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		var random [2]byte
		_, _ = rand.Read(random[:]) // never fails
		port := lowest + int(binary.NativeEndian.Uint16(random[:]))%ports
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)) //nolint:noctx // it takes no time
		if err != nil {
			continue
		}
		_ = l.Close()
		if _, taken := given.LoadOrStore(port, true); !taken {
			return port
		}
	}
	t.Fatal("there is no free port")
	return 0
}
