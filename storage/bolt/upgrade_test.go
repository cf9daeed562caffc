// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

const issuerOfOthers = "https://b.example.com"

// format1 makes a state file as the last version of format 1 left it, and then
// does to it what a test asks for. It holds, at the start of the test clock,
//
//	clients   client (kept), unused, and at issuerOfOthers client
//	grants    of client: unredeemed, live, rotated, ended (after a second)
//	          of client2: of another; at issuerOfOthers, of client: live
//	pending   state
//	account   github:583231
func format1(t *testing.T, change func(tx *bbolt.Tx) error) string {
	t.Helper()
	path := tempPath(t)
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(loadFormat1), db.Update(change), db.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func unchanged(*bbolt.Tx) error { return nil }

func loadFormat1(tx *bbolt.Tx) error {
	raw, err := os.ReadFile("testdata/format1.txt")
	if err != nil {
		return err
	}
	var bucket *bbolt.Bucket
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		left, right, _ := strings.Cut(lines.Text(), " ")
		if left == "#" {
			continue
		}
		text, err := strconv.Unquote(right)
		if err != nil {
			return err
		}
		if left == "bucket" {
			if bucket, err = tx.CreateBucket([]byte(text)); err != nil {
				return err
			}
			continue
		}
		k, err := hex.DecodeString(left)
		if err := errors.Join(err, bucket.Put(k, []byte(text))); err != nil {
			return err
		}
	}
	return lines.Err()
}

// openFormat1 opens such a file half a minute after it was written.
func openFormat1(t *testing.T, path string) (*Store, *storagetest.Clock) {
	t.Helper()
	s, clock := open(t, path)
	clock.Advance(30 * time.Second)
	return s, clock
}

func formatOf(t *testing.T, s *Store) (v uint64) {
	t.Helper()
	if err := s.db.View(func(tx *bbolt.Tx) error {
		v = binary.BigEndian.Uint64(tx.Bucket(bucketMeta).Get(keyFormat))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return v
}

// The server is upgraded in the middle of the day. Whoever was signed in is, and
// whoever was about to sign in goes on.
func TestUpgradeSignsNobodyOut(t *testing.T) {
	t.Parallel()
	s, clock := openFormat1(t, format1(t, unchanged))
	ctx := t.Context()
	checkFile(t, s)
	if v := formatOf(t, s); v != 2 {
		t.Errorf("format %d, want 2", v)
	}
	start := clock.Now().Add(-30 * time.Second)
	for _, c := range []struct {
		issuer, id string
		unused     bool
	}{{issuer, "client", false}, {issuer, "unused", true}, {issuerOfOthers, "client", true}} {
		got, err := s.Client(ctx, c.issuer, c.id)
		if err != nil || got.Unused() != c.unused || !slices.Equal(got.RedirectURIs, storagetest.NewClient(c.issuer, c.id, start).RedirectURIs) {
			t.Errorf("client %s at %s: %+v, %v", c.id, c.issuer, got, err)
		}
	}
	if p, err := s.TakePending(ctx, issuer, storagetest.NewPending(issuer, "state", start).ID); err != nil || p.Request.ClientID != "client" {
		t.Errorf("pending request: %+v, %v", p, err)
	}
	if a, err := s.Account(ctx, "github:583231"); err != nil || a.Identity.Login != "octocat" {
		t.Errorf("account: %+v, %v", a, err)
	}
	if _, err := s.RedeemCode(ctx, issuer, "unredeemed", storagetest.NewRedemption("unredeemed")); err != nil {
		t.Errorf("redeem: %v", err)
	}
	if _, err := s.RedeemCode(ctx, issuer, "live", storagetest.NewRedemption("live")); !errors.Is(err, storage.ErrReplay) {
		t.Errorf("redeem again: %v", err)
	}
	rotation := storage.Rotation{Presented: storagetest.NewRedemption("").Refresh, Successor: storage.Hash{3}, TTL: time.Hour, Grace: time.Minute}
	for _, g := range []struct {
		issuer, id string
		repeat     bool
	}{{issuer, "live", false}, {issuer, "rotated", true}, {issuer, "of another", false}, {issuerOfOthers, "live", false}} {
		r, err := s.RotateRefresh(ctx, g.issuer, g.id, rotation)
		if err != nil || r.Repeat != g.repeat || g.repeat && string(r.Nonce) != "nonce" {
			t.Errorf("rotate %s at %s: %+v, %v", g.id, g.issuer, r, err)
		}
	}
	checkFile(t, s)
}

func TestUpgradedFileServesTheNewVerbs(t *testing.T) {
	t.Parallel()
	s, clock := openFormat1(t, format1(t, unchanged))
	ctx := t.Context()
	named, err := s.DeleteClient(ctx, issuer, "client")
	slices.Sort(named)
	if want := []string{"ended", "live", "rotated", "unredeemed"}; err != nil || !slices.Equal(named, want) {
		t.Errorf("deleting the client named %q, %v, want %q", named, err, want)
	}
	for _, id := range []string{"live", "rotated", "unredeemed"} {
		if _, err := s.Grant(ctx, issuer, id); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s: %v", id, err)
		}
	}
	for _, g := range [][2]string{{issuer, "of another"}, {issuerOfOthers, "live"}} {
		if _, err := s.Grant(ctx, g[0], g[1]); err != nil {
			t.Errorf("%s at %s: %v", g[1], g[0], err)
		}
	}
	session := storagetest.NewSession(issuer, "cookie", clock.Now())
	consent := storagetest.NewConsent(issuer, "decision", "github:1", clock.Now())
	err = errors.Join(s.CreateSession(ctx, session), s.SaveConsent(ctx, consent), s.RememberOnce(ctx, issuer, storage.Hash{1}, time.Minute))
	if err != nil {
		t.Error(err)
	}
	checkFile(t, s)
	clock.Advance(100 * 24 * time.Hour)
	// A client at each issuer, two grants, a request, and what was just made.
	if n, err := s.Sweep(ctx); n != 2+2+1+3 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	checkFile(t, s)
}

func TestUpgradeHappensOnce(t *testing.T) {
	t.Parallel()
	path := format1(t, unchanged)
	var seen [][]byte
	for range 2 {
		s, _ := open(t, path)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, raw)
	}
	if !bytes.Equal(seen[0], seen[1]) {
		t.Error("the second start wrote to the file")
	}
}

// What came later than format 1: lists by subject, revisions, keys, archives.
func TestUpgradedFileServesTheVerbsAboutUsers(t *testing.T) {
	t.Parallel()
	s, clock := openFormat1(t, format1(t, unchanged))
	ctx := t.Context()
	const subject = "github:583231"
	wantGrantsOf := func(s *Store) {
		t.Helper()
		var ids []string
		list, err := s.GrantsOf(ctx, subject)
		for _, g := range list {
			ids = append(ids, g.ID)
		}
		slices.Sort(ids)
		if want := []string{"live", "live", "of another", "rotated", "unredeemed"}; err != nil || !slices.Equal(ids, want) {
			t.Errorf("grants of %s: %q, %v, want %q", subject, ids, err, want)
		}
	}
	wantGrantsOf(s)
	page, next, err := s.Accounts(ctx, "", 10)
	if err != nil || next != "" || len(page) != 1 || page[0].Subject != subject || page[0].Revision != 0 {
		t.Fatalf("accounts: %+v, %q, %v", page, next, err)
	}
	if err := s.ReplaceAccount(ctx, page[0]); err != nil {
		t.Error(err)
	}
	if err := s.ReplaceAccount(ctx, page[0]); !errors.Is(err, storage.ErrChanged) {
		t.Errorf("replacing a revision twice: %v, want %v", err, storage.ErrChanged)
	}
	if a, err := s.Account(ctx, subject); err != nil || a.Revision != 1 {
		t.Errorf("account: %+v, %v, want revision 1", a, err)
	}
	if err := s.CreateKey(ctx, storagetest.NewKey(issuer, "2026-03", clock.Now())); err != nil {
		t.Error(err)
	}
	entries, err := exported(s.Export(ctx))
	if err != nil {
		t.Fatal(err)
	}
	other := openWith(t, tempPath(t), Options{Now: clock.Now, SweepInterval: -1})
	if err := other.Import(ctx, sequence(entries)); err != nil {
		t.Fatal(err)
	}
	wantGrantsOf(other)
	checkFile(t, s)
	checkFile(t, other)
}

// One rotten grant must not keep the server of everyone else from starting. It
// is no use to anyone, as before, and the operator hears of it, but not what is
// in it.
func TestUpgradePassesAGrantItCannotRead(t *testing.T) {
	t.Parallel()
	rotten := keyOf(issuer, "live")
	foreign := keyOf(issuer, "rotated")
	path := format1(t, func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("grants"))
		other := keyOf(issuer, "unredeemed")
		theirs := bytes.Clone(b.Get(other[:]))
		return errors.Join(b.Put(rotten[:], []byte("\x07s3cret")), b.Put(foreign[:], theirs), b.Put([]byte("short"), []byte("s3cret")))
	})
	var log bytes.Buffer
	clock := storagetest.NewClock()
	s := openWith(t, path, Options{Now: clock.Now, SweepInterval: -1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if got := log.String(); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "grants=3") || strings.Contains(got, "s3cret") {
		t.Errorf("log: %s", got)
	}
	if _, err := s.Grant(t.Context(), issuer, "live"); !errors.Is(err, storage.ErrFormat) {
		t.Errorf("the rotten grant: %v", err)
	}
	named, err := s.DeleteClient(t.Context(), issuer, "client")
	slices.Sort(named)
	if want := []string{"ended", "unredeemed"}; err != nil || !slices.Equal(named, want) {
		t.Errorf("deleting the client named %q, %v, want %q", named, err, want)
	}
	if err := errors.Join(s.RevokeGrant(t.Context(), issuer, "live"), s.RevokeGrant(t.Context(), issuer, "rotated")); err != nil {
		t.Error(err)
	}
	if err := s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(grants.bucket).Delete([]byte("short")) }); err != nil {
		t.Error(err)
	}
	checkFile(t, s)
}

// A bucket that is missing is damage. Made anew and empty, it would sign
// everyone out without a word.
func TestUpgradeRefusesAFileWithoutABucket(t *testing.T) {
	t.Parallel()
	for _, name := range bucketsOfFormat1[1:] {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(format1(t, func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte(name)) }))
			if err != nil {
				t.Fatal(err)
			}
			wantRefused(t, raw, ErrDamaged)
		})
	}
}

func TestFormatsOfNoVersionAreRefused(t *testing.T) {
	t.Parallel()
	for name, value := range map[string][]byte{
		"none": {}, "0": make([]byte, 8), "3": binary.BigEndian.AppendUint64(nil, 3), "the last": bytes.Repeat([]byte{0xff}, 8),
		"1 in seven bytes": {0, 0, 0, 0, 0, 0, 1}, "1 in nine bytes": {0, 0, 0, 0, 0, 0, 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(format1(t, func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyFormat, value) }))
			if err != nil {
				t.Fatal(err)
			}
			wantRefused(t, raw, ErrForeign)
		})
	}
}
