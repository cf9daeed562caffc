// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// bodies compares the memory it takes to pass large bodies in both directions.
func bodies(r *rig, o options, report *report) error {
	for _, mb := range []int{1, 16} {
		// Fresh processes: what one size left behind is no measure of the next.
		if err := r.start(1000); err != nil {
			return err
		}
		var peaks [2]int64
		for i, c := range []contender{r.viaGateway(1), r.viaPlain()} {
			if err := c.process.resetPeak(); err != nil {
				return err
			}
			if err := c.transfer(mb<<20, 8, 5); err != nil {
				return err
			}
			_, peak, err := c.process.memory()
			if err != nil {
				return err
			}
			peaks[i] = peak
		}
		report.figure(fmt.Sprintf("peak memory, 8 × %d MB both ways", mb), fmt.Sprintf("%.3f", float64(peaks[0])/float64(peaks[1])), "≤ 1.10",
			fmt.Sprintf("%d and %d MB", peaks[0]>>20, peaks[1]>>20))
	}
	return nil
}

// transfer sends and receives bodies of a size over several connections at once.
func (c contender) transfer(size, conns, times int) error {
	var wg sync.WaitGroup
	errs := make([]error, conns)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conns}}
	for i := range conns {
		wg.Go(func() {
			for range times {
				errs[i] = errors.Join(errs[i], c.transferOne(client, size))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (c contender) transferOne(client *http.Client, size int) error {
	req, err := http.NewRequest(http.MethodPost, fmt.Sprintf("http://%s/mcp?size=%d", c.call.addr, size), io.LimitReader(zeros{}, int64(size)))
	if err != nil {
		return err
	}
	req.ContentLength = int64(size)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.call.tokens[0])
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if got := resp.Header.Get("X-Received"); err == nil && (n != int64(size) || got != strconv.Itoa(size)) {
		err = fmt.Errorf("%s: the backend got %s of %d bytes, and %d came back", c.process.name, got, size, n)
	}
	return err
}
