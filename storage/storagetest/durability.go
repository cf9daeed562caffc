// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"errors"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

var durabilityTests = map[string]func(*env){
	"everything is there after a restart": func(e *env) {
		e.seed()
		before := e.snapshot()
		e.reopen()
		e.same(e.snapshot(), before)
	},
	"every verb's effect is there after a restart": func(e *env) {
		for name := range e.verbs() {
			e.store = e.harness.Open(e.T, e.config)
			e.seed()
			err := e.verbs()[name](e.ctx)
			if err != nil && !errors.Is(err, storage.ErrReuse) {
				e.Fatalf("%s: %v", name, err)
			}
			before := e.snapshot()
			e.reopen()
			e.same(e.snapshot(), before)
		}
	},
	"what expired stays expired after a restart": func(e *env) {
		e.seed()
		e.clock.Advance(refreshTTL + time.Hour)
		before := e.snapshot()
		e.reopen()
		e.same(e.snapshot(), before)
		e.wantGone("grant", "first")
	},
	"a taken request does not come back": func(e *env) {
		e.seed()
		_, err := e.store.TakePending(e.ctx, issuerA, hash("state"))
		e.ok(err)
		e.reopen()
		_, err = e.store.TakePending(e.ctx, issuerA, hash("state"))
		e.wantErr(err, storage.ErrNotFound)
	},
}
