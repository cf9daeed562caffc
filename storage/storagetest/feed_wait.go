// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"context"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// Wait is about real time, whatever the clock of the engine says: these are how
// long a test lets it wait, and how long the test waits for it.
const (
	waitLimit  = 100 * time.Millisecond
	waitAnswer = 20 * time.Second
)

var feedWaitTests = map[string]func(*env){
	"it returns at its limit and not at once": func(e *env) {
		feed := e.feed()
		head := e.head(feed)
		begin := time.Now()
		for range 5 {
			e.wantReturn(func() { feed.Wait(e.ctx, head, waitLimit) })
		}
		// It may return early now and then. One that always does makes its caller
		// spin.
		if took := time.Since(begin); took < 2*waitLimit {
			e.Fatalf("five waits of %v took %v", waitLimit, took)
		}
	},
	"it returns when its context is done": func(e *env) {
		feed := e.feed()
		head := e.head(feed)
		ctx, cancel := context.WithCancel(e.ctx)
		e.wantReturn(func() {
			time.AfterFunc(waitLimit, cancel)
			feed.Wait(ctx, head, time.Hour)
		})
		e.wantReturn(func() { feed.Wait(ctx, head, time.Hour) })
	},
	"it returns at once where there are changes already": func(e *env) {
		feed := e.feed()
		head := e.head(feed)
		e.ok(e.store.SaveAccount(e.ctx, newAccount(e.clock.Now())))
		e.wantReturn(func() { feed.Wait(e.ctx, head, time.Hour) })
	},
	"it returns when another gateway changes something": func(e *env) {
		feed := e.feed()
		other := e.join()
		head := e.head(feed)
		e.wantReturn(func() {
			saved := make(chan error, 1)
			go func() {
				time.Sleep(waitLimit / 2) // most of the time it waits by then
				saved <- other.SaveAccount(e.ctx, newAccount(e.clock.Now()))
			}()
			// The change may be seen before the verb that made it has returned.
			defer func() {
				if err := <-saved; err != nil {
					e.Error(err)
				}
			}()
			// It may return for nothing, so what counts is what a caller does.
			for {
				changes, _, err := feed.Changes(e.ctx, head, 1)
				if err != nil {
					e.Error(err)
				}
				if err != nil || len(changes) > 0 {
					return
				}
				feed.Wait(e.ctx, head, time.Hour)
			}
		})
	},
	"every one of many who wait returns": func(e *env) {
		feed := e.feed()
		head := e.head(feed)
		e.wantReturn(func() {
			race(func(i int) error {
				if i == Callers/2 {
					return e.store.SaveAccount(e.ctx, newAccount(e.clock.Now()))
				}
				for {
					if now, err := feed.Head(e.ctx); err != nil || now > head {
						return err
					}
					feed.Wait(e.ctx, head, time.Hour)
				}
			})
		})
	},
	"closing the store ends it": func(e *env) {
		feed := e.feed()
		head := e.head(feed)
		e.wantReturn(func() {
			time.AfterFunc(waitLimit, func() {
				if err := e.store.Close(); err != nil {
					e.Error(err)
				}
			})
			feed.Wait(e.ctx, head, time.Hour)
			_, err := feed.Head(e.ctx)
			for err == nil { // it returned early
				feed.Wait(e.ctx, head, time.Hour)
				_, err = feed.Head(e.ctx)
			}
			e.isErr(err, storage.ErrClosed)
		})
	},
}

// wantReturn fails if fn takes far longer than it should.
func (e *env) wantReturn(fn func()) {
	e.Helper()
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		fn()
	}()
	select {
	case <-returned:
	case <-time.After(waitAnswer):
		e.Fatalf("still waiting after %v", waitAnswer)
	}
}
