// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testredis"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// fill makes n records of every kind, and of some of them the later forms.
func fill(t testing.TB, s *Store, n int) {
	t.Helper()
	now := nowOf(s)
	var wg sync.WaitGroup
	errs := make(chan error, 16*n)
	for i := range n {
		id := fmt.Sprint("id", i)
		subject := fmt.Sprint("github:", i%3)
		g := storagetest.NewGrant(issuer, id, now)
		g.ClientID, g.Subject = fmt.Sprint("client", i%4), subject
		session := storagetest.NewSession(issuer, id, now)
		session.Subject = subject
		wg.Go(func() {
			errs <- s.CreateClient(t.Context(), storagetest.NewClient(issuer, id, now.Add(time.Duration(i)*time.Second)))
			if i%2 == 0 {
				errs <- s.KeepClient(t.Context(), issuer, id)
			}
			errs <- s.CreatePending(t.Context(), storagetest.NewPending(issuer, id, now))
			errs <- s.SaveAccount(t.Context(), &storage.Account{Subject: "github:" + id})
			errs <- s.CreateGrant(t.Context(), g)
			_, err := s.RedeemCode(t.Context(), issuer, id, storagetest.NewRedemption(id))
			errs <- err
			errs <- s.CreateSession(t.Context(), session)
			errs <- s.TouchSession(t.Context(), issuer, session.ID, 3*time.Hour)
			errs <- s.SaveConsent(t.Context(), storagetest.NewConsent(issuer, id, subject, now))
			errs <- s.SaveConsent(t.Context(), storagetest.NewConsent(issuer, id, "github:other", now))
			errs <- s.RememberOnce(t.Context(), issuer, storage.Hash{byte(i), 1}, time.Hour)
			errs <- s.CreateKey(t.Context(), &storage.Key{Issuer: issuer, ID: id, CreatedAt: now, ExpiresAt: now.Add(time.Hour)})
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		ok(t, err)
	}
}

func TestListsAreInStep(t *testing.T) {
	t.Parallel()
	s, clock := open(t)
	fill(t, s, 20)
	checkDatabase(t, s)
	for i := range 4 {
		_, err := s.DeleteClient(t.Context(), issuer, fmt.Sprint("client", i))
		ok(t, err)
		checkDatabase(t, s)
	}
	ok(t, s.DeleteSessions(t.Context(), "github:1"))
	ok(t, s.DeleteConsents(t.Context(), issuer, "github:other"))
	checkDatabase(t, s)
	for i := range 5 {
		_, err := s.DeleteClient(t.Context(), issuer, fmt.Sprint("id", i))
		ok(t, err)
	}
	checkDatabase(t, s)
	clock.Advance(100 * 24 * time.Hour)
	_, err := s.Sweep(t.Context())
	ok(t, err)
	checkDatabase(t, s)
}

// Everybody does everything to a few records at once. Whoever wins, no list may name what
// is not there, or miss what is.
func TestListsAreInStepAfterAFight(t *testing.T) {
	t.Parallel()
	s, clock := open(t)
	now := clock.Now()
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for j := range 20 {
				id := fmt.Sprint("id", (i+j)%3)
				pending, session := storagetest.NewPending(issuer, id, now), storagetest.NewSession(issuer, id, now)
				_ = s.CreateClient(t.Context(), storagetest.NewClient(issuer, id, now))
				_ = s.KeepClient(t.Context(), issuer, id)
				_ = s.CreatePending(t.Context(), pending)
				_, _ = s.TakePending(t.Context(), issuer, pending.ID)
				_ = s.SaveConsent(t.Context(), storagetest.NewConsent(issuer, id, fmt.Sprint("github:", i%5), now))
				_ = s.CreateGrant(t.Context(), storagetest.NewGrant(issuer, id, now))
				_, _ = s.RedeemCode(t.Context(), issuer, id, storagetest.NewRedemption(id))
				_, _ = s.RotateRefresh(t.Context(), issuer, id, first(byte(i)))
				_ = s.CreateSession(t.Context(), session)
				_ = s.TouchSession(t.Context(), issuer, session.ID, time.Duration(i)*time.Hour)
				switch i % 8 {
				case 0:
					_, _ = s.DeleteClient(t.Context(), issuer, "client")
				case 1:
					_ = s.RevokeGrant(t.Context(), issuer, id)
				case 2:
					_ = s.DeleteSessions(t.Context(), session.Subject)
				case 3:
					_ = s.DeleteConsents(t.Context(), issuer, fmt.Sprint("github:", j%5))
				case 4:
					_, _ = s.DeleteClient(t.Context(), issuer, id)
				case 5:
					_, _ = s.Sweep(t.Context())
				}
			}
		})
	}
	wg.Wait()
	checkDatabase(t, s)
}

// A newer version ran here, and wrote a field that this one does not know. Going back and
// forth must not lose it.
func TestUnknownFieldsStay(t *testing.T) {
	t.Parallel()
	s, clock := open(t)
	future := `,"future":{"a":[1]}}`
	add := func(kind storage.Kind, k key) {
		value := raw(t, s, kind, k)
		spoil(t, s, kind, k, strings.TrimSuffix(value, "}")+future)
	}
	createLive(t, s, "grant")
	ok(t, s.SaveAccount(t.Context(), &storage.Account{Subject: "github:1"}))
	session := storagetest.NewSession(issuer, "cookie", clock.Now())
	ok(t, s.CreateSession(t.Context(), session))
	ok(t, s.CreateClient(t.Context(), storagetest.NewClient(issuer, "client", clock.Now())))
	ok(t, s.SaveConsent(t.Context(), storagetest.NewConsent(issuer, "decision", "github:1", clock.Now())))
	ok(t, s.CreateKey(t.Context(), &storage.Key{Issuer: issuer, ID: "1", ExpiresAt: clock.Now().Add(time.Hour)}))
	at := map[storage.Kind]key{
		storage.KindGrant: keyOf(issuer, "grant"), storage.KindAccount: keyOf("github:1"), storage.KindClient: keyOf(issuer, "client"),
		storage.KindSession: sessions.key(session), storage.KindKey: keyOf(issuer, "1"),
		storage.KindConsent: consents.key(storagetest.NewConsent(issuer, "decision", "", clock.Now())),
	}
	for kind, k := range at {
		add(kind, k)
	}
	_, err := s.RotateRefresh(t.Context(), issuer, "grant", first(1))
	ok(t, errors.Join(
		err, s.SaveAccount(t.Context(), &storage.Account{Subject: "github:1"}), s.KeepClient(t.Context(), issuer, "client"),
		s.TouchSession(t.Context(), issuer, session.ID, 2*time.Hour), s.SaveConsent(t.Context(), storagetest.NewConsent(issuer, "decision", "github:2", clock.Now())),
		s.ReplaceKey(t.Context(), &storage.Key{Issuer: issuer, ID: "1", KeyID: "new", ExpiresAt: clock.Now().Add(time.Hour)}),
	))
	for kind, k := range at {
		if got := raw(t, s, kind, k); !strings.Contains(got, `"future":{"a":[1]}`) {
			t.Errorf("%s: %s", kind, got)
		}
	}
	checkDatabase(t, s)
}

// A record that cannot be read serves nobody and hurts nobody else.
func TestDamagedRecords(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]struct {
		how  func(value string) string
		want error
	}{
		"of a newer version": {func(v string) string { return strings.Replace(v, "\x01", "\x02", 1) }, storage.ErrFormat},
		"cut off":            {func(v string) string { return v[:len(v)-10] }, storage.ErrFormat},
		"no line":            {func(v string) string { return strings.Replace(v, "\n", " ", 1) }, ErrDamaged},
		"another's":          {func(v string) string { return strings.ReplaceAll(v, `"id":"damaged"`, `"id":"whole"`) }, ErrDamaged},
		"of another issuer":  {func(v string) string { return strings.ReplaceAll(v, issuer, "https://evil.example.com") }, ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := open(t)
			ctx := t.Context()
			createLive(t, s, "damaged")
			createLive(t, s, "whole")
			k := keyOf(issuer, "damaged")
			spoil(t, s, storage.KindGrant, k, damage.how(raw(t, s, storage.KindGrant, k)))

			_, err := s.Grant(ctx, issuer, "damaged")
			wantErr(t, err, damage.want)
			_, err = s.RotateRefresh(ctx, issuer, "damaged", first(1))
			wantErr(t, err, damage.want)
			found, err := s.GrantsOf(ctx, "github:583231")
			ok(t, err)
			if len(found) != 1 || found[0].ID != "whole" {
				t.Errorf("grants of the subject: %v", found)
			}
			var exported error
			for _, err := range s.Export(ctx) {
				exported = errors.Join(exported, err)
			}
			wantErr(t, exported, damage.want)

			ok(t, s.RevokeGrant(ctx, issuer, "damaged"))
			_, err = s.Grant(ctx, issuer, "damaged")
			wantErr(t, err, storage.ErrNotFound)
			named, err := s.DeleteClient(ctx, issuer, "client")
			if err != nil || !slices.Equal(named, []string{"whole"}) {
				t.Errorf("deleted %q, %v", named, err)
			}
			if n := count(t, s); n > 1 { // an entry that the line would have named
				t.Errorf("%d keys are left", n)
			}
		})
	}
}

func TestDeletingAClientTakesDamagedGrantsToo(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	for i := range 3 {
		createLive(t, s, fmt.Sprint("grant", i))
	}
	spoil(t, s, storage.KindGrant, keyOf(issuer, "grant0"), "rubbish")
	k := keyOf(issuer, "grant1")
	spoil(t, s, storage.KindGrant, k, strings.Replace(raw(t, s, storage.KindGrant, k), "\x01", "\x02", 1))
	named, err := s.DeleteClient(t.Context(), issuer, "client")
	ok(t, err)
	slices.Sort(named)
	if !slices.Equal(named, []string{"grant1", "grant2"}) {
		t.Errorf("named %q", named)
	}
	for i := range 3 {
		_, err := s.Grant(t.Context(), issuer, fmt.Sprint("grant", i))
		wantErr(t, err, storage.ErrNotFound)
	}
}

// An entry of a list that leads nowhere, or to what belongs to somebody else, does no harm
// and goes.
func TestEntriesThatLeadNowhere(t *testing.T) {
	t.Parallel()
	s, clock := open(t)
	createLive(t, s, "theirs")
	list := s.named("grant:" + grantsOfClient.list(keyOf(issuer, "other")))
	ok(t, s.client.SAdd(t.Context(), list, string(keyOf(issuer, "theirs")), string(keyOf("nobody")), "rubbish").Err())
	named, err := s.DeleteClient(t.Context(), issuer, "other")
	if err != nil || len(named) != 0 {
		t.Errorf("named %q, %v", named, err)
	}
	if _, err := s.Grant(t.Context(), issuer, "theirs"); err != nil {
		t.Errorf("it took what belongs to another: %v", err)
	}
	past := float64(clock.Now().Unix() - 10)
	ok(t, s.client.ZAdd(t.Context(), s.named("ends:grant"), zed(past, "rubbish"), zed(past, string(keyOf("nobody")))).Err())
	_, err = s.Sweep(t.Context())
	ok(t, err)
	checkDatabase(t, s)
}

// The place of an unused client is lost with its record, as when an operator deleted the
// key by hand. It must not count for ever.
func TestPlacesOfClientsThatAreGone(t *testing.T) {
	t.Parallel()
	clock := storagetest.NewClock()
	s := openWith(t, Options{Addresses: []string{testredis.Shared(t).Addr()}, Now: clock.Now, MaxUnusedClients: 2})
	for _, id := range []string{"a", "b"} {
		ok(t, s.CreateClient(t.Context(), storagetest.NewClient(issuer, id, clock.Now())))
		ok(t, s.client.Del(t.Context(), s.named("client:"+string(keyOf(issuer, id)))).Err())
	}
	ok(t, s.CreateClient(t.Context(), storagetest.NewClient(issuer, "c", clock.Now())))
	ok(t, s.CreateClient(t.Context(), storagetest.NewClient(issuer, "d", clock.Now())))
	wantErr(t, s.CreateClient(t.Context(), storagetest.NewClient(issuer, "e", clock.Now())), storage.ErrFull)
	checkDatabase(t, s)
}

// The operator lowers the limit by far. The next registration has to evict thousands, and
// no script may take long.
func TestALimitLoweredByFar(t *testing.T) {
	t.Parallel()
	clock := storagetest.NewClock()
	o := Options{Addresses: []string{testredis.Shared(t).Addr()}, Now: clock.Now, Prefix: testredis.Prefix()}
	s := openWith(t, o)
	for i := range 1000 {
		ok(t, s.CreateClient(t.Context(), storagetest.NewClient(issuer, fmt.Sprint(i), clock.Now())))
	}
	clock.Advance(time.Hour)
	o.MaxUnusedClients = 10
	lower := openWith(t, o)
	ok(t, lower.CreateClient(t.Context(), storagetest.NewClient(issuer, "new", clock.Now())))
	if n, err := s.client.ZCard(t.Context(), s.named("unused")).Result(); err != nil || n != 10 {
		t.Errorf("%d unused clients, %v", n, err)
	}
	checkDatabase(t, s)
}

func TestDeploymentsShareADatabase(t *testing.T) {
	t.Parallel()
	a, _ := open(t)
	b, _ := open(t)
	createLive(t, a, "grant")
	_, err := b.Grant(t.Context(), issuer, "grant")
	wantErr(t, err, storage.ErrNotFound)
	named, err := b.DeleteClient(t.Context(), issuer, "client")
	if err != nil || len(named) != 0 {
		t.Errorf("%q, %v", named, err)
	}
	if _, err := a.Grant(t.Context(), issuer, "grant"); err != nil {
		t.Error(err)
	}
}

// Gateways whose clocks differ agree on what has expired: the server's time counts.
func TestTheClockIsTheServers(t *testing.T) {
	t.Parallel()
	s := openWith(t, Options{Addresses: []string{testredis.Shared(t).Addr()}})
	f, err := grants.load(t.Context(), s, keyOf("x"))
	ok(t, err)
	server, err := s.client.Time(t.Context()).Result()
	ok(t, err)
	if d := server.Sub(f.now); d < 0 || d > 10*time.Second {
		t.Errorf("scripts are %s behind the server", d)
	}
	g := storagetest.NewGrant(issuer, "grant", server)
	g.ExpiresAt = server.Add(300 * time.Millisecond)
	ok(t, s.CreateGrant(t.Context(), g))
	if _, err := s.Grant(t.Context(), issuer, "grant"); err != nil {
		t.Errorf("before its end: %v", err)
	}
	time.Sleep(400 * time.Millisecond)
	_, err = s.Grant(t.Context(), issuer, "grant")
	wantErr(t, err, storage.ErrNotFound)
	if n, err := s.Sweep(t.Context()); n != 1 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
}

// Between the look at a record and the change its end comes. It must not be changed then.
func TestARecordThatEndsMeanwhile(t *testing.T) {
	t.Parallel()
	s, clock := open(t)
	createLive(t, s, "grant")
	k := keyOf(issuer, "grant")
	looks := 0
	err := grants.update(t.Context(), s, k, func(g *storage.Grant, _ time.Time) (step[storage.Grant], error) {
		if looks++; g == nil {
			return step[storage.Grant]{}, storage.ErrNotFound
		}
		clock.Advance(100 * 24 * time.Hour)
		return step[storage.Grant]{put: g}, nil
	})
	wantErr(t, err, storage.ErrNotFound)
	if looks != 2 {
		t.Errorf("%d looks, want 2", looks)
	}
}
