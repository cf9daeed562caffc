// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"syscall"
	"time"
)

// streams measures open streams that say nothing, and what reloads and revocations
// do to them.
func streams(r *rig, o options, report *report) error {
	sizes := []int{1000}
	if o.long {
		most, err := mostStreams()
		if err != nil {
			return err
		}
		sizes = append(sizes, most)
	}
	for _, n := range sizes {
		if err := r.start(n); err != nil {
			return err
		}
		var perStream [2]float64
		for i, side := range []contender{r.viaPlain(), r.viaGateway(1)} {
			cost, err := r.idleStreams(side, n, report)
			if err != nil {
				return err
			}
			perStream[i] = cost
		}
		report.figure(fmt.Sprintf("memory of a stream, %d idle", n), fmt.Sprintf("%.3f", perStream[1]/perStream[0]), "≤ 1.10",
			fmt.Sprintf("%.1f and %.1f KB", perStream[1]/1024, perStream[0]/1024))
		if err := r.reloadAndRevoke(n, report); err != nil {
			return err
		}
	}
	return nil
}

// mostStreams is ten thousand, or as many as a process may have open files for: a
// proxy needs two for each.
func mostStreams() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	return int(min(10_000, (limit.Max-500)/2)), nil
}

// idleStreams returns the memory of one of n open streams, in bytes.
func (r *rig) idleStreams(side contender, n int, report *report) (float64, error) {
	before, _, err := side.process.memory()
	if err != nil {
		return 0, err
	}
	l, err := openStreams(context.Background(), side.call.addr, n, r.state.accessToken)
	if err != nil {
		return 0, err
	}
	defer l.close()
	time.Sleep(2 * time.Second) // what opening left behind is collected
	after, _, err := side.process.memory()
	if err != nil {
		return 0, err
	}
	took, err := r.broadcast(l, int64(n))
	if err != nil {
		return 0, err
	}
	report.figure(fmt.Sprintf("broadcast to %d streams, %s", n, side.process.name), took.Round(time.Millisecond).String(), "reaches all", "")
	return float64(after-before) / float64(n), nil
}

// broadcast has the backend say something and waits until everybody heard it.
func (r *rig) broadcast(l *listeners, n int64) (time.Duration, error) {
	before := l.heard.Load()
	resp, err := http.Post("http://"+r.backendAddr+"/broadcast", "text/plain", nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err := resp.Body.Close(); err != nil {
		return 0, err
	}
	if err != nil {
		return 0, err
	}
	return l.awaitHeard(before+n, time.Minute)
}

// reloadAndRevoke reloads ten times under open streams, revokes one of them, and
// ends the process. Nobody else may notice the first two.
func (r *rig) reloadAndRevoke(n int, report *report) error {
	l, err := openStreams(context.Background(), r.gatewayAddr, n, r.state.accessToken)
	if err != nil {
		return err
	}
	defer l.close()
	for i := range 10 {
		if err := r.reload(i); err != nil {
			return err
		}
	}
	if _, err := r.broadcast(l, int64(n)); err != nil {
		return fmt.Errorf("after ten reloads: %w", err)
	}
	began := time.Now()
	if err := newAPI(r.issuer()).revoke(r.state.accessToken(n / 2)); err != nil {
		return err
	}
	select {
	case <-l.streams[n/2].ended:
	case <-time.After(time.Second):
		return fmt.Errorf("the stream of a revoked grant was open a second later")
	}
	report.figure(fmt.Sprintf("revocation under %d streams", n), time.Since(began).Round(time.Millisecond).String(), "≤ 1 s", "")
	if _, err := r.broadcast(l, int64(n-1)); err != nil {
		return fmt.Errorf("after the revocation: %w", err)
	}
	if over := l.over(); over != 1 {
		return fmt.Errorf("%d streams ended, want the revoked one", over)
	}
	began = time.Now()
	err = r.gateway.stop()
	r.gateway = nil
	report.figure(fmt.Sprintf("exit under %d streams", n), time.Since(began).Round(time.Millisecond).String(), "quick", "")
	return err
}

// reload loads the configuration again, with another name of the resource each time.
func (r *rig) reload(i int) error {
	config := gatewayConfig(r.gatewayAddr, r.gatewayAdmin, r.backendAddr, r.state.path)
	config = string(bytes.Replace([]byte(config), []byte("allow any"), fmt.Appendf(nil, "allow any\n\t\tname \"reload %d\"", i), 1))
	if err := os.WriteFile(r.dir+"/gateway.caddyfile", []byte(config), 0o600); err != nil {
		return err
	}
	resp, err := http.Post("http://"+r.gatewayAdmin+"/load", "text/caddyfile", bytes.NewReader([]byte(config)))
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(resp.Body)
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("reload: %s: %s", resp.Status, answer)
	}
	return err
}
