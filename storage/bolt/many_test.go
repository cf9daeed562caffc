// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// popular makes a store with a client of very many grants, and one grant of
// another. It returns the ids of the client's, sorted.
func popular(t *testing.T, n int) (s *Store, clock *storagetest.Clock, ids []string) {
	t.Helper()
	s, clock = open(t, tempPath(t))
	if err := s.CreateClient(t.Context(), storagetest.NewClient(issuer, "popular", clock.Now())); err != nil {
		t.Fatal(err)
	}
	err := s.committer.do(t.Context(), func(w *writeTx) error {
		ids = nil
		for i := range n {
			g := storagetest.NewGrant(issuer, fmt.Sprintf("%05d", i), clock.Now())
			g.ClientID = "popular"
			if err := grants.insert(w, g); err != nil {
				return err
			}
			ids = append(ids, g.ID)
		}
		return grants.insert(w, storagetest.NewGrant(issuer, "other", clock.Now()))
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, clock, ids
}

func TestDeleteClientWithVeryManyGrants(t *testing.T) {
	t.Parallel()
	for _, n := range []int{deleteStep - 1, deleteStep, deleteStep + 1, 7*deleteStep + 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			s, _, ids := popular(t, n)
			before := transactions(t, s)
			named, err := s.DeleteClient(t.Context(), issuer, "popular")
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(named)
			if !slices.Equal(named, ids) {
				t.Errorf("%d grants are named of %d", len(named), len(ids))
			}
			// Others come between: it is no single step that all have to wait for.
			if got, most := transactions(t, s)-before, n/deleteStep+1; got < n/deleteStep || got > most {
				t.Errorf("%d transactions, want about %d", got, most)
			}
			if n := count(t, s); n != 4 { // the other's grant in its lists
				t.Errorf("%d records and entries are left", n)
			}
			if _, err := s.Client(t.Context(), issuer, "popular"); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("the client: %v", err)
			}
			if named, err := s.DeleteClient(t.Context(), issuer, "popular"); err != nil || len(named) != 0 {
				t.Errorf("deleting again named %d, %v", len(named), err)
			}
			checkFile(t, s)
		})
	}
}

// While a popular client is deleted somebody signs in.
func TestOthersSignInWhileAPopularClientIsDeleted(t *testing.T) {
	t.Parallel()
	s, clock, _ := popular(t, 8*deleteStep)
	deleted := make(chan error)
	go func() {
		_, err := s.DeleteClient(t.Context(), issuer, "popular")
		deleted <- err
	}()
	signedIn := 0
	for done := false; !done; {
		select {
		case err := <-deleted:
			if err != nil {
				t.Error(err)
			}
			done = true
		default:
			if err := signIn(t.Context(), s, fmt.Sprint("new", signedIn), clock.Now()); err != nil {
				t.Fatal(err)
			}
			signedIn++
		}
	}
	if signedIn == 0 {
		t.Error("nobody signed in meanwhile")
	}
	checkFile(t, s)
}

// endsAfter is a context that is done once it was asked so many times.
type endsAfter struct {
	context.Context //nolint:containedctx // it is one
	asked           *atomic.Int64
	times           int64
}

func (c endsAfter) Err() error {
	if c.asked.Add(1) > c.times {
		return context.Canceled
	}
	return nil
}

// The administrator hangs up in the middle. The grants that are gone are named all
// the same, for the guard still lets them through, and the rest goes with the next
// try.
func TestDeleteClientInterruptedNamesWhatIsGone(t *testing.T) {
	t.Parallel()
	s, _, ids := popular(t, 3*deleteStep+5)
	var all []string
	interrupted := 0
	for {
		named, err := s.DeleteClient(endsAfter{context.Background(), new(atomic.Int64), 3}, issuer, "popular")
		all = append(all, named...)
		if err == nil {
			break
		}
		if interrupted++; !errors.Is(err, context.Canceled) || len(named) == 0 {
			t.Fatalf("%d named beside %v", len(named), err)
		}
		if _, err := s.Client(t.Context(), issuer, "popular"); !errors.Is(err, storage.ErrNotFound) {
			t.Fatalf("the client can still sign in: %v", err)
		}
		checkFile(t, s)
	}
	slices.Sort(all)
	if !slices.Equal(all, ids) || interrupted == 0 {
		t.Errorf("%d grants were named of %d, after %d interruptions", len(all), len(ids), interrupted)
	}
}
