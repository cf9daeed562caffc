// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"
	"testing"
)

// envFake turns the test binary into a stand-in for Caddy, so that the demo's
// own behaviour is tested without building it.
const envFake = "DEMO_TEST_FAKE_CADDY"

// What the stand-in can do.
const (
	fakeGuards   = "guards"   // answers 401 with a challenge, ends on SIGTERM
	fakeOpen     = "open"     // lets everybody through
	fakeDies     = "dies"     // refuses its configuration
	fakeCollapse = "collapse" // answers 401 once, then crashes
	fakeStubborn = "stubborn" // answers 401 and ignores SIGTERM
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(envFake); mode != "" {
		os.Exit(fakeCaddy(mode))
	}
	os.Exit(m.Run())
}

// fakeCaddy serves the site of the Caddyfile named on the command line.
func fakeCaddy(mode string) int {
	at := slices.Index(os.Args, "--config")
	text, err := os.ReadFile(os.Args[at+1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "fake:", err)
		return 2
	}
	if mode == fakeDies {
		fmt.Fprintln(os.Stderr, "Error: unrecognized directive: mcp_gateway")
		return 1
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	port := regexp.MustCompile(`http://localhost:(\d+)`).FindSubmatch(text)[1]
	listener, err := net.Listen("tcp", "127.0.0.1:"+string(port))
	if err != nil {
		fmt.Fprintln(os.Stderr, "fake:", err)
		return 2
	}
	seen := make(chan struct{}, 16)
	go func() { _ = http.Serve(listener, fakeSite(mode, seen)) }()
	for {
		select {
		case <-stop:
			if mode != fakeStubborn {
				return 0
			}
		case <-seen:
			if mode == fakeCollapse {
				fmt.Fprintln(os.Stderr, "panic: out of luck")
				return 2
			}
		}
	}
}

func fakeSite(mode string, seen chan<- struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if mode == fakeOpen || r.URL.Path != "/mcp" {
			return
		}
		w.Header().Set("WWW-Authenticate",
			`Bearer resource_metadata="http://`+r.Host+`/.well-known/oauth-protected-resource/mcp"`)
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusUnauthorized)
		_ = http.NewResponseController(w).Flush()
		seen <- struct{}{}
	}
}
