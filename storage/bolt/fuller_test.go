// SPDX-License-Identifier: Apache-2.0

//go:build unix

package bolt

import (
	"context"
	"fmt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// fuller fills a store with numbered grants.
type fuller struct {
	s     *Store
	clock *storagetest.Clock
}

func (fuller) ctx() context.Context { return context.Background() }

// write creates grants from the n-th on until it fails, and returns the number
// of the one that did.
func (f fuller) write(n int) (int, error) {
	for ; n < 100_000; n++ {
		if err := f.s.CreateGrant(f.ctx(), storagetest.NewGrant(issuer, fmt.Sprint("g", n), f.clock.Now())); err != nil {
			return n, err
		}
	}
	return n, nil
}

// check reads the first n grants, which were acknowledged, and the next one,
// which was not.
func (f fuller) check(n int) error {
	for i := range n {
		if _, err := f.s.Grant(f.ctx(), issuer, fmt.Sprint("g", i)); err != nil {
			return fmt.Errorf("grant %d of %d: %w", i, n, err)
		}
	}
	if _, err := f.s.Grant(f.ctx(), issuer, fmt.Sprint("g", n)); !outcome(err) {
		return fmt.Errorf("the grant that was not written: %w", err)
	}
	return nil
}
