// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// streams measures open streams that say nothing, and what reloads, revocations and
// the end of the process do to them.
func streams(r *rig, o options, report *report) error {
	defer func() { r.over = http1 }()
	for _, over := range []protocol{http1, http2} {
		sizes := []int{1000}
		if o.long {
			most, err := mostStreams(10_000, over, report)
			if err != nil {
				return err
			}
			sizes = append(sizes, most)
		}
		r.over = over
		for _, n := range sizes {
			if err := r.idleAndEnded(n, report); err != nil {
				return fmt.Errorf("%s: %w", over.name, err)
			}
		}
	}
	return nil
}

func (r *rig) idleAndEnded(n int, report *report) error {
	if err := r.start(n); err != nil {
		return err
	}
	if err := r.compareIdle(n, report); err != nil {
		return err
	}
	return r.reloadAndRevoke(n, report)
}

// compareIdle opens n streams on each side, one after the other.
func (r *rig) compareIdle(n int, report *report) error {
	var cost [2]memory
	var known memory
	for i, side := range []contender{r.viaGateway(n), r.viaPlain()} {
		token, err := side.introduce(n)
		if err != nil {
			return err
		}
		if i == 0 {
			known = token
		}
		if cost[i], err = r.idleStreams(side, n, report); err != nil {
			return err
		}
	}
	gateway, plain := cost[0], cost[1]
	per := func(bytes int64) float64 { return float64(bytes) / float64(n) / 1024 }
	report.figure(fmt.Sprintf("memory of a stream, %d idle, %s", n, r.over.name), fmt.Sprintf("%.3f", float64(gateway.inUse())/float64(plain.inUse())), "≤ 1.10",
		fmt.Sprintf("%.1f and %.1f KB in use (heap %.1f and %.1f), resident %.1f and %.1f KB", per(gateway.inUse()), per(plain.inUse()),
			per(gateway.heap), per(plain.heap), per(gateway.resident), per(plain.resident)))
	report.figure(fmt.Sprintf("memory of a token that was used, of %d", n), fmt.Sprintf("%.1f KB", per(known.inUse())), "",
		"with its grant and a quarter of a person")
	return nil
}

// introduce sends a call with every token, so that what a token costs is not taken for
// the cost of a stream, and returns what the tokens cost.
func (c contender) introduce(n int) (memory, error) {
	before, err := settled(c.process, c.admin)
	if err != nil {
		return memory{}, err
	}
	const conns = 8
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conns}}
	errs := make([]error, conns)
	var wg sync.WaitGroup
	for w := range conns {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += conns {
				errs[w] = c.callOnce(client, c.token(i))
			}
		})
	}
	wg.Wait()
	client.CloseIdleConnections()
	if err := errors.Join(errs...); err != nil {
		return memory{}, fmt.Errorf("%s: %w", c.process.name, err)
	}
	after, err := settled(c.process, c.admin)
	return after.less(before), err
}

func (c contender) callOnce(client *http.Client, token string) error {
	req, err := http.NewRequest(http.MethodPost, "http://"+c.call.addr+"/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return errors.Join(err, resp.Body.Close())
}

// token of the i-th stream. What plain reverse_proxy is sent does not matter.
func (c contender) token(i int) string { return c.call.tokens[i%len(c.call.tokens)] }

// idleStreams returns the memory that n open streams take.
func (r *rig) idleStreams(side contender, n int, report *report) (memory, error) {
	before, err := settled(side.process, side.admin)
	if err != nil {
		return memory{}, err
	}
	began := time.Now()
	l, err := openStreams(context.Background(), r.over.dialer(side.call.addr), n, side.token)
	if err != nil {
		return memory{}, err
	}
	defer l.close()
	opened := time.Since(began)
	after, err := settled(side.process, side.admin)
	if err != nil {
		return memory{}, err
	}
	report.figure(fmt.Sprintf("opening %d streams, %s, %s", n, r.over.name, side.process.name), opened.Round(time.Millisecond).String(), "", "")
	return after.less(before), r.reportBroadcasts(l, n, side.process.name, report)
}

// reportBroadcasts tells all streams something a few times.
func (r *rig) reportBroadcasts(l *listeners, n int, side string, report *report) error {
	var took []time.Duration
	for range 5 {
		each, err := r.broadcast(l, n)
		if err != nil {
			return err
		}
		took = append(took, each...)
	}
	half, all := percentile(took, 0.5), percentile(took, 1)
	report.figure(fmt.Sprintf("broadcast to %d streams, %s, %s", n, r.over.name, side), half.Round(100*time.Microsecond).String(), "reaches all",
		"median; the last one after "+all.Round(100*time.Microsecond).String())
	return nil
}

// broadcast has the backend say something, waits until everybody heard it, and returns
// how long it took for each.
func (r *rig) broadcast(l *listeners, n int) ([]time.Duration, error) {
	before, began := l.heard.Load(), time.Now()
	resp, err := http.Post("http://"+r.backendAddr+"/broadcast", "text/plain", nil)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err := resp.Body.Close(); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	if err := l.awaitHeard(before+int64(n), time.Minute); err != nil {
		return nil, err
	}
	return l.heardAfter(began), nil
}

// reloadAndRevoke reloads ten times under open streams, revokes one of them, and
// ends the process. Nobody else may notice the first two, and the last must look like
// the end of an answer to everybody.
func (r *rig) reloadAndRevoke(n int, report *report) error {
	l, err := openStreams(context.Background(), r.over.dialer(r.gatewayAddr), n, r.state.accessToken)
	if err != nil {
		return err
	}
	defer l.close()
	for i := range 10 {
		if err := r.reload(i); err != nil {
			return err
		}
	}
	if _, err := r.broadcast(l, n); err != nil {
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
	report.figure(fmt.Sprintf("revocation under %d streams, %s", n, r.over.name), time.Since(began).Round(time.Millisecond).String(), "≤ 1 s", "after ten reloads")
	if _, err := r.broadcast(l, n-1); err != nil {
		return fmt.Errorf("after the revocation: %w", err)
	}
	if over := l.over(); over != 1 {
		return fmt.Errorf("%d streams ended, want the revoked one", over)
	}
	return r.exitUnder(l, report)
}

// exitUnder ends the gateway under open streams and looks at how they end.
func (r *rig) exitUnder(l *listeners, report *report) error {
	began := time.Now()
	err := r.gateway.stop()
	took := time.Since(began)
	r.gateway = nil
	if err != nil {
		return err
	}
	if err := l.awaitOver(10 * time.Second); err != nil {
		return err
	}
	n := len(l.streams)
	if torn, how := l.torn(); torn > 0 {
		return fmt.Errorf("%d of %d streams were torn when the gateway ended: %w", torn, n, how)
	}
	report.figure(fmt.Sprintf("exit under %d streams, %s", n, r.over.name), took.Round(time.Millisecond).String(), "quick", "all ended like an answer that is complete")
	return nil
}

// reload loads the configuration again, with another name of the resource each time.
func (r *rig) reload(i int) error {
	config := r.gatewayConfig()
	config = string(bytes.Replace([]byte(config), []byte("allow any"), fmt.Appendf(nil, "allow any\n\t\tname \"reload %d\"", i), 1))
	if err := os.WriteFile(r.dir+"/gateway.caddyfile", []byte(config), 0o600); err != nil {
		return err
	}
	return loadConfig(r.gatewayAdmin, config)
}

// loadConfig gives a running Caddy another configuration.
func loadConfig(admin, config string) error {
	resp, err := http.Post("http://"+admin+"/load", "text/caddyfile", bytes.NewReader([]byte(config)))
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
