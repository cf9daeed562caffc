// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// profileBoth writes a processor profile of each contender under load, for finding
// out where a ratio comes from. Look at them with go tool pprof.
func profileBoth(o options, name string, conns int, sides ...contender) error {
	if o.profile == "" {
		return nil
	}
	for _, c := range sides {
		file := filepath.Join(o.profile, name+"-"+c.process.name+".pprof")
		done := make(chan error, 1)
		go func() { done <- fetchProfile(c.admin, file, 5*time.Second) }()
		_, err := c.call.run(conns, 6*time.Second)
		if err := errors.Join(err, <-done); err != nil {
			return fmt.Errorf("profile %s: %w", c.process.name, err)
		}
	}
	return nil
}

func fetchProfile(admin, file string, d time.Duration) error {
	resp, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", admin, int(d.Seconds())))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("profile: %s", resp.Status)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	return errors.Join(err, f.Close())
}
