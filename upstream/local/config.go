// SPDX-License-Identifier: Apache-2.0

package local

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/bcrypt"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
)

const (
	// minCost is where guessing offline stops being cheap; about 50 ms.
	minCost = 10
	// maxCost is where one sign-in takes seconds; `caddy hash-password` uses 14.
	maxCost = 16
	// maxText bounds names, addresses and groups in bytes.
	maxText = 256
)

// Config is a user list as the operator writes it.
type Config struct {
	// Name is the configured name of the upstream. Default "local".
	Name  string
	Users []User
	// Throttle is to outlive this configuration. Default: one of its own, which
	// forgets with it.
	Throttle *Throttle
	// Now is the clock of the default throttle. Default time.Now.
	Now func() time.Time
}

// User is one line of the list.
type User struct {
	// Name is what the user types, compared exactly, and the stable id.
	Name string
	// Hash is a bcrypt hash, as `caddy hash-password` prints it, of cost 10 to 16.
	Hash string
	// Email is optional. The operator vouches for it: it counts as verified.
	Email string
	// Groups are optional and case-sensitive.
	Groups []string
}

type settled struct {
	name    string
	users   map[string]account
	maxCost int
}

func (c Config) settle() (settled, error) {
	s := settled{name: c.Name, users: make(map[string]account, len(c.Users))}
	if s.name == "" {
		s.name = identity.KindLocal
	}
	var errs []error
	if !upstreamName.MatchString(s.name) {
		errs = append(errs, fmt.Errorf("name %q: use letters, digits, - and _", s.name))
	}
	if len(c.Users) == 0 {
		errs = append(errs, errors.New("no users; add: user <name> <bcrypt-hash>"))
	}
	for _, u := range c.Users {
		a, err := u.settle(s.name)
		if err != nil {
			errs = append(errs, fmt.Errorf("user %q: %w", u.Name, err))
			continue
		}
		if _, twice := s.users[u.Name]; twice {
			errs = append(errs, fmt.Errorf("user %q: listed twice", u.Name))
			continue
		}
		s.users[u.Name] = a
		s.maxCost = max(s.maxCost, a.cost)
	}
	if len(errs) > 0 {
		return settled{}, fmt.Errorf("local upstream %q: %w", s.name, errors.Join(errs...))
	}
	return s, nil
}

func (u User) settle(upstreamName string) (account, error) {
	var errs []error
	if err := checkUserName(u.Name); err != nil {
		errs = append(errs, err)
	}
	cost, err := checkHash(u.Hash)
	if err != nil {
		errs = append(errs, err)
	}
	if u.Email != "" && !isAddress(u.Email) {
		errs = append(errs, fmt.Errorf("%q is not an e-mail address", u.Email))
	}
	for _, g := range u.Groups {
		if !isText(g) {
			errs = append(errs, fmt.Errorf("%q cannot be a group", g))
		}
	}
	if len(errs) > 0 {
		return account{}, errors.Join(errs...)
	}
	return account{hash: []byte(u.Hash), cost: cost, identity: identity.Identity{
		Upstream:      upstreamName,
		Kind:          identity.KindLocal,
		ID:            u.Name,
		Login:         u.Name,
		Email:         u.Email,
		EmailVerified: u.Email != "",
		Groups:        slices.Clone(u.Groups),
	}}, nil
}

// checkUserName refuses what would not survive on its way to the backend. A
// colon would let a user "b:c" of the list "a" pass for user "c" of "a:b".
func checkUserName(name string) error {
	if !isText(name) || strings.Contains(name, ":") {
		return errors.New("a name is printable text without a colon and without blanks at its ends")
	}
	return nil
}

func isText(s string) bool {
	return s != "" && len(s) <= maxText && utf8.ValidString(s) && strings.TrimSpace(s) == s &&
		!strings.ContainsFunc(s, func(c rune) bool { return c != ' ' && !unicode.IsPrint(c) })
}

func isAddress(s string) bool {
	at := strings.LastIndexByte(s, '@')
	return at > 0 && at < len(s)-1 && isText(s) && !strings.Contains(s, " ")
}

var (
	upstreamName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)
	bcryptHash   = regexp.MustCompile(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)
)

// checkHash returns the cost. It never quotes the hash, which is as good as a
// password to whoever has a graphics card.
func checkHash(hash string) (int, error) {
	if hash == "" {
		return 0, errors.New("no password hash; make one with: caddy hash-password")
	}
	cost, err := bcrypt.Cost([]byte(hash))
	if err != nil || !bcryptHash.MatchString(hash) {
		return 0, errors.New("the password is not a bcrypt hash; make one with: caddy hash-password")
	}
	if cost < minCost || cost > maxCost {
		return 0, fmt.Errorf("the bcrypt cost is %d, which must be %d to %d; make the hash again with: caddy hash-password", cost, minCost, maxCost)
	}
	return cost, nil
}
