// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testredis"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

const issuer = "https://a.example.com"

// open opens a store of its own on the shared server, with a clock of its own and
// without a background sweeper.
func open(t testing.TB) (*Store, *storagetest.Clock) {
	t.Helper()
	clock := storagetest.NewClock()
	return openWith(t, Options{Addresses: []string{testredis.Shared(t).Addr()}, Now: clock.Now}), clock
}

// openAt opens one on a server of the test, with the server's time.
func openAt(t testing.TB, server *testredis.Server) *Store {
	t.Helper()
	return openWith(t, Options{Addresses: []string{server.Addr()}})
}

func openWith(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Prefix == "" {
		o.Prefix = testredis.Prefix()
	}
	if o.SweepInterval == 0 {
		o.SweepInterval = -1
	}
	s, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, storage.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// openError wants Open to fail, and returns why.
func openError(t testing.TB, o Options) error {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err == nil {
		_ = s.Close()
		t.Fatal("it opens")
	}
	return err
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

func wantText(t testing.TB, got string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Errorf("%q does not say %q", got, part)
		}
	}
}

// createLive creates a grant and redeems its code for the refresh secret "first".
func createLive(t testing.TB, s *Store, id string) {
	t.Helper()
	ok(t, s.CreateGrant(context.Background(), storagetest.NewGrant(issuer, id, nowOf(s))))
	_, err := s.RedeemCode(context.Background(), issuer, id, storagetest.NewRedemption(id))
	ok(t, err)
}

func nowOf(s *Store) time.Time {
	if s.now != nil {
		return s.now()
	}
	return time.Now().UTC()
}

// first is a rotation of what createLive redeemed.
func first(successor byte) storage.Rotation {
	return storage.Rotation{
		Presented: storagetest.NewRedemption("").Refresh, Successor: storage.Hash{successor}, Nonce: []byte("nonce"),
		TTL: time.Hour, Grace: time.Minute, UnusedGrace: 15 * time.Minute,
	}
}

// journal is a log that may be written and read at the same time.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// checkDatabase fails unless the lists hold exactly the records they should.
func checkDatabase(t testing.TB, s *Store) {
	t.Helper()
	ctx := context.Background()
	base := strings.TrimSuffix(s.meta, "meta")
	names, err := s.client.Keys(ctx, base+"*").Result()
	ok(t, err)
	want, got := map[string][]string{}, map[string][]string{}
	add := func(all map[string][]string, list, entry string) { all[list] = append(all[list], entry) }
	for _, name := range names {
		last := strings.TrimPrefix(name, base)
		kind, k, _ := strings.Cut(last, ":")
		switch {
		case last == "meta", last == "feed":
		case last == "unused", kind == "ends":
			entries, err := s.client.ZRangeWithScores(ctx, name, 0, -1).Result()
			ok(t, err)
			for _, e := range entries {
				add(got, last, fmt.Sprintf("%v %.6f", e.Member, e.Score))
			}
		case strings.HasPrefix(k, "by_"):
			entries, err := s.client.SMembers(ctx, name).Result()
			ok(t, err)
			for _, e := range entries {
				add(got, last, e)
			}
		default:
			expectLists(t, s, kind, k, name, func(list, entry string) { add(want, list, entry) })
		}
	}
	for _, all := range []map[string][]string{want, got} {
		for _, entries := range all {
			slices.Sort(entries)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lists (-want +got):\n%s", diff)
	}
}

// expectLists names the lists that a stored record should be on.
func expectLists(t testing.TB, s *Store, kind, k, name string, add func(list, entry string)) {
	t.Helper()
	value, err := s.client.Get(context.Background(), name).Result()
	ok(t, err)
	line, _, _ := strings.Cut(value, "\n")
	parts := strings.Split(line, " ")
	if len(parts) != 4 || !key(k).valid() {
		t.Errorf("%s: line %q", name, line)
		return
	}
	if parts[0] == none {
		add("ends:"+kind, k+" +Inf")
	} else {
		add("ends:"+kind, k+" "+scoreOf(t, parts[0]))
	}
	if parts[1] != none {
		add("unused", k+" "+scoreOf(t, parts[1]))
	}
	if parts[2] != none {
		for _, list := range strings.Split(parts[2], ",") {
			add(kind+":"+list, k)
		}
	}
}

func scoreOf(t testing.TB, text string) string {
	t.Helper()
	at, err := parseStamp(text)
	ok(t, err)
	return fmt.Sprintf("%.6f", float64(at.Unix())+float64(at.Nanosecond()/1000)/1e6)
}

// raw is the stored form of a record.
func raw(t testing.TB, s *Store, kind storage.Kind, k key) string {
	t.Helper()
	value, err := s.client.Get(context.Background(), s.named(string(kind)+":"+string(k))).Result()
	if errors.Is(err, redis.Nil) {
		return ""
	}
	ok(t, err)
	return value
}

// spoil replaces the stored form of a record behind the engine's back.
func spoil(t testing.TB, s *Store, kind storage.Kind, k key, value string) {
	t.Helper()
	ok(t, s.client.Set(context.Background(), s.named(string(kind)+":"+string(k)), value, 0).Err())
}

// count is the number of keys under the prefix, those of the engine itself left out.
func count(t testing.TB, s *Store) int {
	t.Helper()
	names, err := s.client.Keys(context.Background(), strings.TrimSuffix(s.meta, "meta")+"*").Result()
	ok(t, err)
	names = slices.DeleteFunc(names, func(name string) bool { return name == s.meta || name == s.named("feed") })
	return len(names)
}
