// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/bolt"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

func emptyStore(t *testing.T) storage.Store {
	t.Helper()
	store, err := bolt.Open(filepath.Join(t.TempDir(), "state.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func ring(keys ...byte) *token.Ring {
	var all []token.Key
	for _, k := range keys {
		all = append(all, token.Key{k})
	}
	return token.NewRing(all[0], all[1:]...)
}

// A key file that got lost is made anew, or a variable has the value of another
// deployment. Starting would sign everybody out without a word.
func TestAnotherKeyIsRefused(t *testing.T) {
	t.Parallel()
	store := emptyStore(t)
	for i, step := range []struct {
		keys []byte
		want error
	}{
		{[]byte{1}, nil},                          // the first start
		{[]byte{1}, nil},                          // a restart
		{[]byte{2}, gateway.ErrWrongKey},          // another key
		{[]byte{1}, nil},                          // which changed nothing
		{[]byte{2, 1}, nil},                       // rotation, first half
		{[]byte{3, 4}, gateway.ErrWrongKey},       // none of the two
		{[]byte{1}, nil},                          // back again
		{[]byte{2, 1}, nil},                       //
		{[]byte{2}, nil},                          // rotation, second half
		{[]byte{1}, gateway.ErrWrongKey},          // the old key is history
		{[]byte{9, 8, 7, 2}, nil},                 // many
		{[]byte{5, 8}, nil},                       // one of them is enough
		{[]byte{2, 1, 9, 7}, gateway.ErrWrongKey}, // those that are gone are not
	} {
		if err := gateway.CheckKey(t.Context(), store, ring(step.keys...)); !errors.Is(err, step.want) {
			t.Errorf("step %d, keys %v: %v, want %v", i, step.keys, err, step.want)
		}
	}
	if keys, err := store.Keys(t.Context(), issuer); err != nil || len(keys) != 0 {
		t.Errorf("an issuer has %d keys, %v", len(keys), err)
	}
}

// Many gateways of one deployment start for the first time at once, half of them with
// a key that somebody mistyped. They must not end up with two kinds of tokens.
func TestFirstStartWithTwoKeysAtOnce(t *testing.T) {
	t.Parallel()
	store := emptyStore(t)
	var wg sync.WaitGroup
	errs := make([]error, 64)
	for i := range errs {
		wg.Go(func() { errs[i] = gateway.CheckKey(t.Context(), store, ring(byte(1+i%2))) })
	}
	wg.Wait()
	var passed [2]int
	for i, err := range errs {
		switch {
		case err == nil:
			passed[i%2]++
		case !errors.Is(err, gateway.ErrWrongKey):
			t.Error(err)
		}
	}
	if passed != [2]int{32, 0} && passed != [2]int{0, 32} {
		t.Errorf("%v passed, want all of one key and none of the other", passed)
	}
}

// What a store remembers of its keys opens nothing.
func TestKeyCheckIsNoKey(t *testing.T) {
	t.Parallel()
	store := emptyStore(t)
	r := ring(1)
	if err := gateway.CheckKey(t.Context(), store, r); err != nil {
		t.Fatal(err)
	}
	keys, err := store.Keys(t.Context(), "")
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	if _, err := token.ParseKey(keys[0].Private); err == nil && fmt.Sprint(keys[0].Private) != r.KeyCheck() {
		t.Error("the check is a key")
	}
	if r.CheckMAC(token.PurposeCSRF, keys[0].Private) || r.CheckMAC(token.PurposeSession, keys[0].Private) {
		t.Error("the check passes for something else")
	}
}

// A store that does not answer starts nothing.
func TestKeyCheckFailsClosed(t *testing.T) {
	t.Parallel()
	store := emptyStore(t)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := gateway.CheckKey(t.Context(), store, ring(1)); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
