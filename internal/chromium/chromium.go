// SPDX-License-Identifier: Apache-2.0

// Package chromium drives a headless Chromium from tests, because cookies, CSP and
// redirects are decided by browsers and not by what we believe about them.
//
// Whatever goes wrong fails the test; so do error messages on the console and CSP
// violations, at its end, unless Page.Tolerate named them. The browser reaches
// loopback addresses only.
package chromium

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testreq"
)

// Env names the Chromium or Chrome to use, if it is not the one in PATH.
const Env = "MCP_OAUTH_TEST_CHROMIUM"

// patience bounds every single step. A browser on a busy machine is slow, and a
// step that never ends would be reported without a word on what it waited for.
const patience = 30 * time.Second

// Browser is one Chromium process with a profile of its own. It ends with the test.
type Browser struct {
	t   testing.TB
	ctx context.Context //nolint:containedctx // chromedp keeps the browser in it
}

// Option changes how New starts Chromium.
type Option func(*config)

type config struct {
	rules       []string
	insecureTLS bool
}

// Host resolves a host name to an address, for both "mcp.example.com" and
// "*.example.com". addr is "127.0.0.1" or "127.0.0.1:8443"; with a port, every
// port of the name leads there.
func Host(name, addr string) Option {
	return func(c *config) { c.rules = append(c.rules, "MAP "+name+" "+addr) }
}

// InsecureTLS accepts any certificate, for servers with one made for the test.
func InsecureTLS() Option {
	return func(c *config) { c.insecureTLS = true }
}

// New starts a browser. Without one on the machine the test is skipped, or fails
// where all requirements are mandatory: see package testreq.
func New(t testing.TB, options ...Option) *Browser {
	t.Helper()
	path := find()
	testreq.Need(t, "chromium", path != "", "install Chromium or set "+Env+" to its path")
	var c config
	for _, o := range options {
		o(&c)
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), flags(path, &c)...)
	t.Cleanup(stop)
	ctx, quit := chromedp.NewContext(alloc)
	t.Cleanup(quit)
	// The first step starts the process, which lives as long as this context: the
	// limit is a timer and not a deadline.
	timer := time.AfterFunc(patience, quit)
	err := chromedp.Do(ctx)
	if !timer.Stop() || err != nil {
		t.Fatalf("chromium: %s did not start: %v", path, err)
	}
	return &Browser{t: t, ctx: ctx}
}

// find returns the path of a browser, or "".
func find() string {
	names := []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"}
	if set := os.Getenv(Env); set != "" {
		names = []string{set}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// flags add to chromedp's defaults, which are headless, a new profile, and as root
// no sandbox.
func flags(path string, c *config) []chromedp.ExecAllocatorOption {
	// The first matching rule counts; the last one keeps the test off the network.
	rules := append(slices.Clone(c.rules), "MAP * ~NOTFOUND", "EXCLUDE 127.0.0.1", "EXCLUDE localhost", "EXCLUDE [::1]")
	opts := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path),
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-field-trial-config", true),
		// A page that comes back out of this cache is not loaded, and DevTools do not
		// tell when it is there. A form approved in it is a form approved twice.
		chromedp.Flag("disable-back-forward-cache", true),
		chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("host-resolver-rules", strings.Join(rules, ", ")),
		chromedp.Flag("lang", "en-US"),
	)
	if c.insecureTLS {
		opts = append(opts, chromedp.IgnoreCertErrors)
	}
	return opts
}
