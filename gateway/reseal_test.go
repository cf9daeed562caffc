// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// keysOf counts the accounts whose token the ring would not seal again, and those
// whose token opens.
func (l *lab) keysOf(ring *token.Ring, people []identity.Identity) (current, opens int) {
	for _, p := range people {
		a := l.mem.account(p.Subject())
		if ring.Current(a.Token) {
			current++
		}
		if l.st.openToken(&a) != nil {
			opens++
		}
	}
	return current, opens
}

// The operator changes the key and wants to be rid of the old one: the tokens of
// people who are never seen again are sealed with the new one as well, without a
// burst, and a stored record that is touched meanwhile is left alone.
func TestTokensAreSealedWithTheNewKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 5*resealPage + 1
		var people []identity.Identity
		for i := range n {
			people = append(people, member(i+1))
		}
		l := newLab(t, people...)
		broken := l.mem.account("github:7")
		broken.Token = "garbage"
		_ = l.mem.SaveAccount(t.Context(), &broken)
		l.mem.intercept(func(verb, id string) error {
			if verb == "ReplaceAccount" && id == "github:9" {
				return storage.ErrChanged
			}
			return nil
		})
		ring := token.NewRing(token.Key{2}, token.Key{1})
		l.st.SetRing(ring)
		synctest.Wait()
		if current, _ := l.keysOf(ring, people); current != resealPage-1 && current != resealPage {
			t.Errorf("%d sealed anew at once", current)
		}
		time.Sleep(10 * resealPause)
		synctest.Wait()
		if current, opens := l.keysOf(ring, people); current != n-2 || opens != n-1 {
			t.Errorf("%d sealed with the new key, %d open, of %d", current, opens, n)
		}
		if !strings.Contains(l.logged(), "records sealed with the new key") || l.mem.account("github:7").Token != "garbage" {
			t.Error("want a line in the log, and what cannot be read left as it is")
		}
		l.mem.intercept(func(verb, _ string) error {
			if verb == "Accounts" {
				t.Error("looked through again for the same key")
			}
			return nil
		})
		l.st.SetRing(token.NewRing(token.Key{2}, token.Key{1})) // a reload
		synctest.Wait()
	})
}

// A store that fails is said to; the old key stays in the ring, so nothing is lost.
func TestSealingAnewFails(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"Accounts", "ReplaceAccount"} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, member(1))
			l.mem.intercept(func(v, _ string) error {
				if v == verb {
					return errors.New("disk full")
				}
				return nil
			})
			l.st.SetRing(token.NewRing(token.Key{2}, token.Key{1}))
			synctest.Wait()
			if !strings.Contains(l.logged(), "the old one is still needed") {
				t.Errorf("%s: nothing in the log", verb)
			}
		})
	}
}

// A check stores the token with the key in use, and drops it where nothing needs it
// any more.
func TestTokenAtTheNextSave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1))
		raw := l.grant("g1", member(1))
		ring := token.NewRing(token.Key{2}, token.Key{1})
		l.st.ring.Store(ring)
		time.Sleep(labInterval)
		l.use(raw)
		if a := l.mem.account("github:1"); !ring.Current(a.Token) || !a.CheckedAt.Equal(time.Now()) {
			t.Errorf("account %+v", a)
		}
		l.idp.tokenful = false
		time.Sleep(labInterval)
		l.use(raw)
		if a := l.mem.account("github:1"); a.Token != "" {
			t.Error("a token is kept that nothing needs")
		}
	})
}
