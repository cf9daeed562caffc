// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// rig is what is compared: one binary, one backend, and two running Caddys, one
// with the gateway in front of the backend and one with plain reverse_proxy.
type rig struct {
	dir     string
	caddy   string
	backend *process
	gateway *process
	plain   *process

	backendAddr, gatewayAddr, plainAddr string
	// gatewayAdmin and plainAdmin are where the admin APIs listen.
	gatewayAdmin, plainAdmin string
	state                    *state
	// over is how clients of streams connect.
	over protocol
	// filled are state files for startFilled, by their number of grants.
	filled map[int]*state
}

// newRig builds Caddy once. Processes are started by start.
func newRig(binary string) (*rig, error) {
	dir, err := os.MkdirTemp("", "mcp-oauth-bench-")
	if err != nil {
		return nil, err
	}
	r := &rig{dir: dir, caddy: binary, over: http1, filled: map[int]*state{}}
	if r.backendAddr, err = freeAddr("127.0.0.1"); err != nil {
		return nil, err
	}
	for _, addr := range []*string{&r.gatewayAddr, &r.plainAddr, &r.gatewayAdmin, &r.plainAdmin} {
		if *addr, err = freeAddr("localhost"); err != nil {
			return nil, err
		}
	}
	if binary == "" {
		r.caddy = filepath.Join(dir, "caddy")
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", r.caddy, "./cmd/caddy")
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("build caddy: %w", err)
		}
	}
	return r, nil
}

func (r *rig) close() error {
	err := r.stop()
	return errors.Join(err, os.RemoveAll(r.dir))
}

func (r *rig) stop() error {
	var errs []error
	for _, p := range []**process{&r.gateway, &r.plain, &r.backend} {
		if *p != nil {
			errs = append(errs, (*p).stop())
			*p = nil
		}
	}
	return errors.Join(errs...)
}

// issuer is where clients reach the gateway.
func (r *rig) issuer() string { return "http://" + r.gatewayAddr }

// start runs everything over a fresh state file with the given number of grants.
func (r *rig) start(grants int) error {
	path := filepath.Join(r.dir, fmt.Sprintf("state-%d-%d.db", grants, time.Now().UnixNano()))
	filled, err := preload(path, r.issuer(), r.issuer()+"/mcp", grants)
	if err != nil {
		return fmt.Errorf("preload: %w", err)
	}
	return r.startOver(filled)
}

// startFilled is start over a state file that other scenarios use as well: a million
// grants take a while to write.
func (r *rig) startFilled(grants int) error {
	filled := r.filled[grants]
	if filled == nil {
		if err := r.stop(); err != nil {
			return err
		}
		var err error
		path := filepath.Join(r.dir, fmt.Sprintf("state-%d.db", grants))
		if filled, err = preload(path, r.issuer(), r.issuer()+"/mcp", grants); err != nil {
			return fmt.Errorf("preload: %w", err)
		}
		r.filled[grants] = filled
	}
	return r.startOver(filled)
}

func (r *rig) startOver(s *state) error {
	if err := r.stop(); err != nil {
		return err
	}
	r.state = s
	if err := r.startBackend(); err != nil {
		return err
	}
	var err error
	if r.plain, err = r.startCaddy("plain", r.plainAddr, r.plainConfig()); err != nil {
		return err
	}
	return r.startGateway()
}

func (r *rig) startBackend() (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), envBackend+"="+r.backendAddr)
	if r.backend, err = startProcess("backend", cmd); err != nil {
		return err
	}
	return r.backend.await(r.backendAddr)
}

func (r *rig) startGateway() (err error) {
	r.gateway, err = r.startCaddy("gateway", r.gatewayAddr, r.gatewayConfig())
	return err
}

func (r *rig) startCaddy(name, addr, config string) (*process, error) {
	file := filepath.Join(r.dir, name+".caddyfile")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(r.caddy, "run", "--adapter", "caddyfile", "--config", file)
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+filepath.Join(r.dir, name), "XDG_CONFIG_HOME="+filepath.Join(r.dir, name))
	p, err := startProcess(name, cmd)
	if err != nil {
		return nil, err
	}
	return p, p.await(addr)
}

// await waits until something answers, or the process is gone.
func (p *process) await(addr string) error {
	client := &http.Client{Timeout: time.Second}
	for range 3000 {
		resp, err := client.Get("http://" + addr + "/nothing-here")
		if err == nil {
			return resp.Body.Close()
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %s", p.name, p.log)
		case <-time.After(10 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s does not answer at %s: %s", p.name, addr, p.log)
}

func freeAddr(host string) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return net.JoinHostPort(host, port), err
}

const commonOptions = `
	admin %s
	persist_config off
	servers {
		protocols %s
	}
	log {
		level ERROR
	}
`

// refusedPath is where plain Caddy answers 401.
const refusedPath = "/refused"

func (r *rig) plainConfig() string {
	return fmt.Sprintf(`{`+commonOptions+`}

http://%s {
	respond %s 401
	reverse_proxy /mcp* %s
}
`, r.plainAdmin, r.over.caddy, r.plainAddr, refusedPath, r.backendAddr)
}

// gatewayConfig has everything on that costs something: identity headers with the
// assertion, and the hook on response headers, which is always there. Nobody signs
// in at GitHub: people and grants are in the state file.
func (r *rig) gatewayConfig() string {
	return fmt.Sprintf(`{`+commonOptions+`
	mcp_oauth {
		storage bolt %s
		github {
			client_id bench
			client_secret bench-secret
			base_url http://127.0.0.1:1
		}
		recheck_upstream off
		limit registrations off
		limit authorizations off
		limit tokens off
	}
}

http://%s {
	mcp_gateway /mcp %s {
		allow any
	}
}
`, r.gatewayAdmin, r.over.caddy, r.state.path, r.gatewayAddr, r.backendAddr)
}
