// SPDX-License-Identifier: Apache-2.0

package testop

import (
	"maps"
	"slices"
)

// User is one user of the provider.
type User struct {
	Subject       string
	Username      string
	Name          string
	Email         string
	EmailVerified bool
	Groups        []string
}

// Alice has a verified address and two groups.
func Alice() User {
	return User{
		Subject: "user-4711", Username: "alice", Name: "Alice Example",
		Email: "alice@example.com", EmailVerified: true, Groups: []string{"dev", "ops"},
	}
}

// Bob has neither.
func Bob() User {
	return User{Subject: "user-0815", Username: "bob", Name: "Bob Example", Email: "bob@example.com"}
}

// AddUser adds a user or replaces one.
func (p *Provider) AddUser(u User) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users[u.Subject] = u
}

// UpdateUser changes a user. Whoever has a token of theirs learns it when they ask.
func (p *Provider) UpdateUser(subject string, edit func(*User)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.users[subject]
	edit(&u)
	p.users[subject] = u
}

// RemoveUser removes a user with all tokens and sessions.
func (p *Provider) RemoveUser(subject string) {
	p.SignOut(subject)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.users, subject)
}

// SignIn has the browser signed in as a user, who is not asked any more. An empty
// subject signs the browser out: the login page then waits for a choice.
func (p *Provider) SignIn(subject string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signedIn = subject
}

// SignOut makes all tokens of a user worthless, as an administrator can.
func (p *Provider) SignOut(subject string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	theirs := func(_ string, s *session) bool { return s.subject == subject }
	maps.DeleteFunc(p.access, theirs)
	maps.DeleteFunc(p.refresh, theirs)
	if p.signedIn == subject {
		p.signedIn = ""
	}
}

// ExpireAccess ends the access tokens of a user, as time does.
func (p *Provider) ExpireAccess(subject string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.access, func(_ string, s *session) bool { return s.subject == subject })
}

// Secrets are the client's secret, if it has one, and the refresh tokens that there
// are.
func (p *Provider) Secrets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.Collect(maps.Keys(p.refresh))
	if p.cfg.ClientSecret != "" {
		all = append(all, p.cfg.ClientSecret)
	}
	return all
}

func (p *Provider) user(subject string) (User, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u, ok := p.users[subject]
	return u, ok
}
