// SPDX-License-Identifier: Apache-2.0

package local

import (
	"fmt"
	"strings"
)

// maxPassword is as much as bcrypt looks at, in bytes. What follows would not
// count, so longer passwords are wrong rather than cut.
const maxPassword = 72

// check compares the password with the user's hash, or with a dummy for a name
// that does not exist. It always costs as much as the costliest hash of the
// list: a list whose hashes differ in cost would else tell its names by time.
func (l *Local) check(name, password string) (account, bool) {
	user, known := l.users[name]
	usable := password != "" && len(password) <= maxPassword && !strings.Contains(password, "\x00")
	if !usable {
		password = "-" // the same work, for a result that does not count
	}
	if !known {
		_ = l.compare(dummyHash(l.maxCost), []byte(password))
		return account{}, false
	}
	err := l.compare(user.hash, []byte(password))
	// Cost c means 2^c rounds: 2^c + 2^c + 2^(c+1) + … + 2^(max-1) = 2^max.
	for cost := user.cost; cost < l.maxCost; cost++ {
		_ = l.compare(dummyHash(cost), []byte(password))
	}
	return user, err == nil && usable
}

// dummyHash is well-formed and the hash of nothing in particular; comparing
// with it is real work whose result nobody looks at.
func dummyHash(cost int) []byte {
	return fmt.Appendf(nil, "$2a$%02d$%s%s", cost, strings.Repeat(".", 22), strings.Repeat(".", 31))
}
