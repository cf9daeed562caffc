// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"fmt"
	"slices"
	"sync"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

var pageTests = map[string]func(*env){
	"of an empty store there is one empty page": func(e *env) {
		for _, limit := range []int{1, 1000} {
			page, next, err := e.store.Accounts(e.ctx, "", limit)
			e.ok(err)
			if len(page) != 0 || next != "" {
				e.Fatalf("%d accounts and cursor %q", len(page), next)
			}
		}
	},
	"every account comes once, whatever the limit": func(e *env) {
		const n = 25
		want := e.saveAccounts("old", n)
		for _, limit := range []int{1, 2, 5, n - 1, n, n + 1, 10 * n} {
			e.same(e.allAccounts(limit), want)
		}
	},
	"what comes is what was saved": func(e *env) {
		e.ok(e.store.SaveAccount(e.ctx, newAccount(e.clock.Now())))
		e.ok(e.store.SaveAccount(e.ctx, newAccount(e.clock.Now())))
		page, next, err := e.store.Accounts(e.ctx, "", 10)
		e.ok(err)
		want := newAccount(e.clock.Now())
		want.Revision = 2
		e.same(page, []*storage.Account{want})
		e.same(next, "")
	},
	// The pages are for a server that looks at all of its users now and then, while
	// new ones sign in.
	"accounts that were there all come while others are added": func(e *env) {
		want := e.saveAccounts("old", 40)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 10 {
					if err := e.store.SaveAccount(e.ctx, NewAccount(fmt.Sprint("new", i, "-", j), e.clock.Now())); err != nil {
						e.Error(err)
					}
				}
			})
		}
		got := e.allAccounts(3)
		wg.Wait()
		got = slices.DeleteFunc(got, func(subject string) bool { return !slices.Contains(want, subject) })
		e.same(got, want)
		if n := len(e.allAccounts(7)); n != 40+80 {
			e.Fatalf("%d accounts, want %d", n, 40+80)
		}
	},
	"hostile subjects come too": func(e *env) {
		want := map[string]bool{}
		for _, text := range hostileTexts() {
			a := newAccount(e.clock.Now())
			a.Subject = text
			e.ok(e.store.SaveAccount(e.ctx, a))
			want[text] = true
		}
		got := map[string]bool{}
		for _, subject := range e.allAccounts(1) {
			got[subject] = true
		}
		e.same(got, want)
	},
	// A cursor may come from the query of an administrator's request.
	"a cursor that is none is refused": func(e *env) {
		e.saveAccounts("a", 3)
		_, good, err := e.store.Accounts(e.ctx, "", 1)
		e.ok(err)
		bad := []string{"-1", " " + good, good + "\n", "{}"}
		for name, text := range hostileTexts() {
			if name != "empty" && name != "long" { // the beginning, and what is base64 and hex
				bad = append(bad, text)
			}
		}
		for _, cursor := range bad {
			page, next, err := e.store.Accounts(e.ctx, cursor, 10)
			if err == nil || page != nil || next != "" {
				e.Errorf("cursor %.40q: %d accounts, cursor %q, error %v", cursor, len(page), next, err)
			}
		}
		// These may be the form of a cursor: refused or not, the answer is a page.
		for _, cursor := range []string{"0", "zz", "99999999999999999999999", good + good, good[:1], hostileTexts()["long"]} {
			if page, _, err := e.store.Accounts(e.ctx, cursor, 2); err != nil && page != nil || len(page) > 2 {
				e.Errorf("cursor %.40q: %d accounts, error %v", cursor, len(page), err)
			}
		}
	},
	// The store was restored from a backup between two pages.
	"a cursor of another time leads to an end": func(e *env) {
		e.saveAccounts("a", 3)
		_, cursor, err := e.store.Accounts(e.ctx, "", 2)
		e.ok(err)
		e.store = e.harness.Open(e.T, e.config)
		page, next, err := e.store.Accounts(e.ctx, cursor, 2)
		if len(page) != 0 || next != "" {
			e.Fatalf("%d accounts, cursor %q, error %v", len(page), next, err)
		}
	},
	"a cursor survives a restart": func(e *env) {
		want := e.saveAccounts("a", 5)
		page, cursor, err := e.store.Accounts(e.ctx, "", 2)
		e.ok(err)
		e.reopen()
		rest, next, err := e.store.Accounts(e.ctx, cursor, 10)
		e.ok(err)
		e.same(next, "")
		e.same(subjects(append(page, rest...)), want)
	},
}

// saveAccounts saves n accounts and returns their subjects, sorted.
func (e *env) saveAccounts(prefix string, n int) []string {
	e.Helper()
	var all []*storage.Account
	for i := range n {
		a := NewAccount(fmt.Sprintf("%s%03d", prefix, i), e.clock.Now())
		e.ok(e.store.SaveAccount(e.ctx, a))
		all = append(all, a)
	}
	return subjects(all)
}

func subjects(accounts []*storage.Account) []string {
	var all []string
	for _, a := range accounts {
		all = append(all, a.Subject)
	}
	slices.Sort(all)
	return all
}

// allAccounts follows the pages and returns the subjects of all, sorted.
func (e *env) allAccounts(limit int) []string {
	e.Helper()
	var (
		all    []*storage.Account
		cursor string
	)
	for pages := 0; ; pages++ {
		if pages > 10_000 {
			e.Fatal("the pages have no end")
		}
		page, next, err := e.store.Accounts(e.ctx, cursor, limit)
		e.ok(err)
		if len(page) > limit {
			e.Fatalf("%d accounts on a page of at most %d", len(page), limit)
		}
		all = append(all, page...)
		if next == "" {
			return subjects(all)
		}
		cursor = next
	}
}
