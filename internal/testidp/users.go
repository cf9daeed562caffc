// SPDX-License-Identifier: Apache-2.0

package testidp

import (
	"fmt"
	"slices"
	"strings"
)

// User is an account at the fake GitHub.
type User struct {
	// ID is the numeric id, which never changes.
	ID int64
	// Login can be renamed, and is free for others afterwards.
	Login string
	// Name is the display name; empty is null in the API, as for people who
	// have not set one.
	Name string
	// Password is what the interactive sign-in page asks for. Empty: anything.
	Password string
	Emails   []Email
	// Suspended accounts keep their tokens, which are refused with 403.
	Suspended bool
	// Orgs are organizations with an active membership.
	Orgs []string
	// Pending are organizations with an invitation that was not accepted.
	Pending []string
	// Billing are organizations whose bills the user sees to without being in them.
	Billing []string
	// Teams are "org/slug" of the teams the user was put into, not of those above.
	Teams []string
}

// Email is one address of a user.
type Email struct {
	Address           string
	Primary, Verified bool
}

// AddUser adds a user, or replaces the one with this id. It panics on a mistake
// in the test: no id, no login, or the login of somebody else.
func (g *GitHub) AddUser(u User) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if u.ID <= 0 || u.Login == "" {
		panic("testidp: a user needs an id and a login")
	}
	if other := g.byLogin(u.Login); other != nil && other.ID != u.ID {
		panic(fmt.Sprintf("testidp: login %q is taken by %d", u.Login, other.ID))
	}
	g.users[u.ID] = u.clone()
}

// UpdateUser changes a user in place: joining and leaving organizations,
// renaming, losing an address.
func (g *GitHub) UpdateUser(id int64, change func(*User)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := g.users[id]
	if u == nil {
		panic(fmt.Sprintf("testidp: no user %d", id))
	}
	change(u)
	u.ID = id
}

// RemoveUser deletes an account and its tokens. The login becomes free.
func (g *GitHub) RemoveUser(id int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.users, id)
	g.dropTokens(func(t *token) bool { return t.user == id })
	if g.current == id {
		g.current = 0
	}
}

// RecycleLogin is the attack on everything that keys on logins: the owner
// renames the account, and somebody else registers the name that became free.
func (g *GitHub) RecycleLogin(owner int64, newLogin string, taker User) {
	g.UpdateUser(owner, func(u *User) {
		taker.Login, u.Login = u.Login, newLogin
	})
	g.AddUser(taker)
}

// SignIn makes a user the one who is signed in at GitHub in this browser; zero
// signs out.
func (g *GitHub) SignIn(id int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.current = id
}

// byLogin finds a user as GitHub does, ignoring case. The caller holds mu.
func (g *GitHub) byLogin(login string) *User {
	for _, u := range g.users {
		if strings.EqualFold(u.Login, login) {
			return u
		}
	}
	return nil
}

func (u User) clone() *User {
	u.Emails = slices.Clone(u.Emails)
	u.Orgs = slices.Clone(u.Orgs)
	u.Pending = slices.Clone(u.Pending)
	u.Billing = slices.Clone(u.Billing)
	u.Teams = slices.Clone(u.Teams)
	return &u
}
