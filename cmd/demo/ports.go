// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"strconv"
	"time"
)

// dialTimeout bounds the check whether something already listens on loopback.
const dialTimeout = time.Second

// loopbackHosts are the addresses "localhost" may mean on this machine. A
// machine without IPv6 has only the first.
func loopbackHosts() []string {
	hosts := []string{"127.0.0.1"}
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil {
		_ = l.Close()
		hosts = append(hosts, "::1")
	}
	return hosts
}

// portTaken reports which of the hosts already has a listener on the port.
//
// Both ways of asking are needed: a program listening on all addresses does not
// stop us from binding one of them everywhere, and one that has the port
// without accepting does not answer a dial.
func portTaken(port int, hosts []string) (string, bool) {
	for _, host := range hosts {
		addr := net.JoinHostPort(host, strconv.Itoa(port))
		if conn, err := net.DialTimeout("tcp", addr, dialTimeout); err == nil {
			_ = conn.Close()
			return addr, true
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return addr, true
		}
		_ = l.Close()
	}
	return "", false
}

// checkPort explains a port that is taken and how to get past it.
func checkPort(port int, hosts []string) error {
	addr, taken := portTaken(port, hosts)
	if !taken {
		return nil
	}
	return fmt.Errorf("%s is taken by another program (or not allowed).\n"+
		"Stop that program, or choose another port for the gateway:\n\n"+
		"    ./xcaddy.sh demo -port %d\n    %s=%d ./xcaddy.sh demo",
		addr, suggestPort(port, hosts), envPort, suggestPort(port, hosts))
}

// suggestPort is the next port above that is free.
func suggestPort(port int, hosts []string) int {
	for candidate := port + 1; candidate < port+50 && candidate <= 65535; candidate++ {
		if _, taken := portTaken(candidate, hosts); !taken {
			return candidate
		}
	}
	return port + 1
}
