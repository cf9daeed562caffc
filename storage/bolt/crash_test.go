// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// The crash test: a process writes as fast as it can from several goroutines
// and says what was acknowledged; it is killed in the middle, again and again,
// always on the same file. Afterwards every sign-in has to be exactly where its
// last acknowledgement put it, or one whole step further.

const (
	crashKills   = 100
	crashWriters = 8
	crashRotates = 5 // rotations of every grant
)

// crashSteps is a sign-in from registration to revocation. Step i has been
// acknowledged once the process printed "<id> <i>".
func crashSteps(s *Store, id string, now time.Time) []func(context.Context) error {
	steps := []func(context.Context) error{
		func(ctx context.Context) error { return s.CreateClient(ctx, storagetest.NewClient(issuer, id, now)) },
		func(ctx context.Context) error { return s.CreatePending(ctx, storagetest.NewPending(issuer, id, now)) },
		func(ctx context.Context) error {
			_, err := s.TakePending(ctx, issuer, sha256.Sum256([]byte(id)))
			return err
		},
		func(ctx context.Context) error {
			g := storagetest.NewGrant(issuer, id, now)
			g.ClientID, g.Subject = id, id
			return s.CreateGrant(ctx, g)
		},
		func(ctx context.Context) error {
			_, err := s.RedeemCode(ctx, issuer, id, crashRedemption(id))
			return err
		},
		func(ctx context.Context) error { return s.KeepClient(ctx, issuer, id) },
	}
	for i := range crashRotates {
		steps = append(steps, func(ctx context.Context) error {
			r := storage.Rotation{Presented: crashSecret(id, i), Successor: crashSecret(id, i+1), Nonce: []byte(id), TTL: time.Hour, Grace: time.Minute}
			_, err := s.RotateRefresh(ctx, issuer, id, r)
			return err
		})
	}
	steps = append(steps, crashBrowserSteps(s, id, now)...)
	steps = append(steps, crashOwnerSteps(s, id, now)...)
	return append(steps, func(ctx context.Context) error { return crashEnd(ctx, s, id) })
}

// crashBrowserSteps are what follows in the browser.
func crashBrowserSteps(s *Store, id string, now time.Time) []func(context.Context) error {
	return []func(context.Context) error{
		func(ctx context.Context) error {
			return s.CreateSession(ctx, storagetest.NewSession(issuer, id, now))
		},
		func(ctx context.Context) error {
			return s.TouchSession(ctx, issuer, sha256.Sum256([]byte(id)), 2*time.Hour)
		},
		func(ctx context.Context) error {
			return s.SaveConsent(ctx, storagetest.NewConsent(issuer, id, id, now))
		},
		func(ctx context.Context) error {
			return s.RememberOnce(ctx, issuer, sha256.Sum256([]byte(id)), time.Hour)
		},
		func(ctx context.Context) error { return s.DeleteSession(ctx, issuer, sha256.Sum256([]byte(id))) },
		func(ctx context.Context) error { return s.DeleteConsents(ctx, issuer, id) },
	}
}

// crashOwnerSteps are about the account, about a signing key, and about all sessions
// of the user.
func crashOwnerSteps(s *Store, id string, now time.Time) []func(context.Context) error {
	return []func(context.Context) error{
		func(ctx context.Context) error { return s.SaveAccount(ctx, storagetest.NewAccount(id, now)) },
		func(ctx context.Context) error {
			a := storagetest.NewAccount(id, now)
			a.Revision, a.Token = 1, "renewed"
			return s.ReplaceAccount(ctx, a)
		},
		func(ctx context.Context) error { return s.CreateKey(ctx, storagetest.NewKey(id, id, now)) },
		func(ctx context.Context) error {
			k := storagetest.NewKey(id, id, now)
			k.Private = "sealed anew"
			return s.ReplaceKey(ctx, k)
		},
		func(ctx context.Context) error { return s.CreateSession(ctx, secondSession(id, now)) },
		func(ctx context.Context) error { return s.DeleteSessions(ctx, id) },
	}
}

func secondSession(id string, now time.Time) *storage.Session {
	session := storagetest.NewSession(issuer, id+" second", now)
	session.Subject = id
	return session
}

// crashEnd ends a grant, for some sign-ins by deleting their client.
func crashEnd(ctx context.Context, s *Store, id string) error {
	if !leaves(id) {
		return s.RevokeGrant(ctx, issuer, id)
	}
	named, err := s.DeleteClient(ctx, issuer, id)
	if err == nil && !slices.Equal(named, []string{id}) {
		return fmt.Errorf("deleting the client named %q", named)
	}
	return err
}

// Names of the steps, by their index.
const (
	stepClient = iota
	stepPending
	stepTaken
	stepGrant
	stepRedeemed
	stepKept
	stepRotated  = stepKept + crashRotates
	stepSession  = stepRotated + 1
	stepTouched  = stepRotated + 2
	stepConsent  = stepRotated + 3
	stepUsed     = stepRotated + 4
	stepSignOut  = stepRotated + 5
	stepAskAgain = stepRotated + 6
	stepAccount  = stepRotated + 7
	stepRenewed  = stepRotated + 8
	stepKey      = stepRotated + 9
	stepResealed = stepRotated + 10
	stepSecond   = stepRotated + 11
	stepOut      = stepRotated + 12
	stepRevoked  = stepRotated + 13
)

// stays says whether the grant of a sign-in is left alone at the end.
func stays(id string) bool { return id[len(id)-1]%4 == 2 }

// leaves says whether the client of a sign-in is deleted at the end, and the grant
// with it.
func leaves(id string) bool { return id[len(id)-1]%4 == 0 || id[len(id)-1]%4 == 3 }

func crashSecret(id string, generation int) storage.Hash {
	return sha256.Sum256(fmt.Append(nil, id, generation))
}

func crashRedemption(id string) storage.Redemption {
	r := storagetest.NewRedemption(id)
	r.Refresh = crashSecret(id, 0)
	return r
}

func init() { children["crash"] = crashChild }

func crashChild(path string) error {
	clock := storagetest.NewClock()
	s, err := Open(path, Options{Now: clock.Now, SweepInterval: 20 * time.Millisecond, LockTimeout: 10 * time.Second})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second) // in case nobody kills us
	defer cancel()
	var (
		wg  sync.WaitGroup
		ack sync.Mutex
	)
	for writer := range crashWriters {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				id := fmt.Sprint(os.Getpid(), "-", writer, "-", n)
				for i, step := range crashSteps(s, id, clock.Now()) {
					if i == stepRevoked && stays(id) {
						continue
					}
					if err := step(ctx); err != nil {
						fmt.Println("failed", id, i, err)
						return
					}
					ack.Lock()
					_, _ = os.Stdout.WriteString(fmt.Sprint(id, " ", i, "\n"))
					ack.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return s.Close()
}

func TestKilledProcessLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	rnd := rand.New(rand.NewSource(time.Now().UnixNano())) //nolint:gosec // when to kill
	acked := map[string]int{}                              // the last step, by id
	kills := crashKills
	if testing.Short() {
		kills = 10
	}
	for round := range kills {
		fresh := killedRun(t, path, time.Duration(5+rnd.Intn(200))*time.Millisecond)
		s, clock := open(t, path)
		checkFile(t, s)
		for id, last := range fresh {
			acked[id] = last
			checkSignIn(t, s, clock.Now(), id, last)
		}
		if round == kills-1 { // and the later kills did no harm to the earlier writes
			for id, last := range acked {
				checkSignIn(t, s, clock.Now(), id, last)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("after kill %d", round+1)
		}
	}
	steps := map[int]int{}
	for _, last := range acked {
		steps[last]++
	}
	t.Logf("%d kills, %d sign-ins, by their last acknowledged step: %v", kills, len(acked), steps)
	if len(acked) < kills {
		t.Errorf("only %d sign-ins: the processes were killed before they did anything", len(acked))
	}
}

// killedRun lets a process write for a while after its first acknowledgement,
// kills it and returns the last step it acknowledged of every sign-in.
func killedRun(t *testing.T, path string, after time.Duration) map[string]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := child(ctx, t, "crash", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acked := map[string]int{}
	var kill *time.Timer
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // a line without its end was not said
		}
		id, step, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		n, err := strconv.Atoi(step)
		if err != nil {
			t.Errorf("the process says: %s", line)
			continue
		}
		acked[id] = n
		if kill == nil {
			kill = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the process ended before it was killed")
	}
	return acked
}

// reached is how far a sign-in has come: last is its last acknowledged step, and
// next the one that may have been done without anyone hearing of it.
type reached struct{ last, next int }

func reachedBy(id string, last int) reached {
	if stays(id) && last == stepRevoked-1 {
		return reached{last, last}
	}
	return reached{last, last + 1}
}

// allows reports whether a fact is what the last step left, or the next one.
func (r reached) allows(got bool, after func(step int) bool) bool {
	return got == after(r.last) || got == after(r.next)
}

// checkSignIn fails unless everything of a sign-in is as its last acknowledged
// step left it, or the next one.
func checkSignIn(t *testing.T, s *Store, now time.Time, id string, last int) {
	t.Helper()
	ctx, r := t.Context(), reachedBy(id, last)
	expect := func(what string, got bool, after func(step int) bool) {
		t.Helper()
		if !r.allows(got, after) {
			t.Errorf("%s after step %d: %s: %v", id, last, what, got)
		}
	}
	there := func(err error) bool {
		t.Helper()
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s after step %d: %v", id, last, err)
		}
		return err == nil
	}
	c, err := s.Client(ctx, issuer, id)
	expect("client is there", there(err), func(step int) bool { return step >= stepClient && !(leaves(id) && step >= stepRevoked) })
	if err == nil {
		expect("client is kept", !c.Unused(), func(step int) bool { return step >= stepKept })
	}
	_, err = s.Pending(ctx, issuer, storagetest.NewPending(issuer, id, now).ID)
	expect("pending request is there", there(err), func(step int) bool { return step >= stepPending && step < stepTaken })
	g, err := s.Grant(ctx, issuer, id)
	expect("grant is there", there(err), func(step int) bool { return step >= stepGrant && step < stepRevoked })
	if err == nil {
		expect("grant is live", g.Live(), func(step int) bool { return step >= stepRedeemed })
		checkFamily(t, s, g, r)
	}
	checkBrowser(t, s, now, id, last, expect)
	checkOwner(t, s, now, id, last, expect)
}

// checkOwner is the part of checkSignIn about account, key and what is listed for
// the user.
func checkOwner(t *testing.T, s *Store, now time.Time, id string, last int, expect func(string, bool, func(int) bool)) {
	t.Helper()
	ctx := t.Context()
	a, err := s.Account(ctx, "github:"+id)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("%s after step %d: %v", id, last, err)
	}
	expect("account is there", err == nil, func(step int) bool { return step >= stepAccount })
	if err == nil {
		expect("account is renewed", a.Revision == 2 && a.Token == "renewed", func(step int) bool { return step >= stepRenewed })
		expect("account is as it was saved", a.Revision == 1 && a.Token != "renewed", func(step int) bool { return step < stepRenewed })
	}
	keys, err := s.Keys(ctx, id)
	if err != nil {
		t.Errorf("%s after step %d: %v", id, last, err)
	}
	expect("key is there", len(keys) == 1, func(step int) bool { return step >= stepKey })
	if len(keys) == 1 {
		expect("key is sealed anew", keys[0].Private == "sealed anew", func(step int) bool { return step >= stepResealed })
	}
	_, err = s.Session(ctx, issuer, secondSession(id, now).ID)
	expect("second session is there", err == nil, func(step int) bool { return step == stepSecond })
	_, grantErr := s.Grant(ctx, issuer, id)
	list, err := s.GrantsOf(ctx, id)
	if err != nil || len(list) == 1 != (grantErr == nil) {
		t.Errorf("%s after step %d: %d grants are listed (%v), looking for it: %v", id, last, len(list), err, grantErr)
	}
}

// checkBrowser is the part of checkSignIn about session, consent and used id.
func checkBrowser(t *testing.T, s *Store, now time.Time, id string, last int, expect func(string, bool, func(int) bool)) {
	t.Helper()
	ctx := t.Context()
	there := func(err error) bool {
		t.Helper()
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s after step %d: %v", id, last, err)
		}
		return err == nil
	}
	session, err := s.Session(ctx, issuer, sha256.Sum256([]byte(id)))
	expect("session is there", there(err), func(step int) bool { return step >= stepSession && step < stepSignOut })
	if err == nil {
		expect("session is touched", session.IdleAt.Sub(now) == 2*time.Hour, func(step int) bool { return step >= stepTouched })
	}
	_, err = s.Consent(ctx, issuer, sha256.Sum256([]byte(id)))
	expect("consent is there", there(err), func(step int) bool { return step >= stepConsent && step < stepAskAgain })
	if last >= stepUsed { // asking is using
		if err := s.RememberOnce(ctx, issuer, sha256.Sum256([]byte(id)), time.Hour); !errors.Is(err, storage.ErrExists) {
			t.Errorf("%s after step %d: an id could be used again: %v", id, last, err)
		}
	}
}

// checkFamily fails unless the code of a grant cannot be redeemed again and its
// refresh secrets are a whole chain.
func checkFamily(t *testing.T, s *Store, g *storage.Grant, r reached) {
	t.Helper()
	if !g.Live() {
		if g.Refresh.Current != (storage.Hash{}) {
			t.Errorf("%s: half a redemption is there", g.ID)
		}
		return
	}
	if _, err := s.RedeemCode(t.Context(), issuer, g.ID, crashRedemption(g.ID)); !errors.Is(err, storage.ErrReplay) {
		t.Errorf("%s after step %d: redeeming again gave %v", g.ID, r.last, err)
	}
	generation := len(g.Refresh.Retired)
	if g.Refresh.Current != crashSecret(g.ID, generation) {
		t.Errorf("%s after step %d: %d retired secrets do not lead to the current one", g.ID, r.last, generation)
	}
	if generation != max(0, min(r.last-stepKept, crashRotates)) && generation != max(0, min(r.next-stepKept, crashRotates)) {
		t.Errorf("%s after step %d: the secret is of generation %d", g.ID, r.last, generation)
	}
}
