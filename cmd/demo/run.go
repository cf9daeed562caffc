// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// run plays the demo until ctx ends, which is success, or until one of its
// parts does, which is not. Whatever happens, it stops what it started and
// removes what it wrote.
func run(ctx context.Context, opts options, stdout, stderr io.Writer) (err error) {
	hosts := loopbackHosts()
	if err := checkPort(opts.port, hosts); err != nil {
		return err
	}
	dir, err := newWorkdir(opts.state)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.remove()) }()

	sample, err := startBackend(opts.backendPort)
	if err != nil {
		return err
	}
	defer sample.stop()

	password, err := configure(dir, opts.port, sample.addr, hosts)
	if err != nil {
		return err
	}
	childCtx, stopCaddy := context.WithCancel(ctx)
	caddy, err := startCaddy(childCtx, opts.caddy, dir, logTarget(opts, stderr))
	if err != nil {
		stopCaddy()
		if ctx.Err() != nil { // Ctrl-C before there was anything to stop
			return nil
		}
		return err
	}
	defer func() { stopCaddy(); <-caddy.exited }()

	url := fmt.Sprintf("http://localhost:%d/mcp", opts.port)
	if err := waitReady(ctx, url, caddy.exited); err != nil {
		return notReady(ctx, caddy, err)
	}
	a := announcement{
		url: url, user: demoUser, password: password,
		backend: "http://" + sample.addr, config: dir.configPath(), state: opts.state,
	}
	if err := a.write(stdout); err != nil {
		return err
	}
	return waitForEnd(ctx, caddy, sample)
}

// configure writes the Caddyfile and returns the password of its user.
func configure(dir workdir, port int, backend string, hosts []string) (string, error) {
	password, hash, err := newPassword()
	if err != nil {
		return "", err
	}
	return password, dir.writeConfig(caddyfile(siteConfig{
		port: port, backend: backend, bind: hosts, statePath: dir.statePath(), hash: hash,
	}))
}

// waitForEnd blocks until the user or a part of the demo ends it.
func waitForEnd(ctx context.Context, caddy *child, sample *backend) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-sample.failed:
		return err
	case <-caddy.exited:
		if ctx.Err() != nil { // Ctrl-C reached Caddy first
			return nil
		}
		return caddy.death()
	}
}

// notReady says why the gateway did not come up. Ctrl-C during the wait is an
// ordinary end.
func notReady(ctx context.Context, caddy *child, cause error) error {
	select {
	case <-caddy.exited:
		if ctx.Err() != nil {
			return nil
		}
		return caddy.death()
	default:
	}
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("%w. Caddy's log:\n\n%s", cause, caddy.log.String())
}

func logTarget(opts options, w io.Writer) io.Writer {
	if opts.verbose {
		return w
	}
	return nil
}
