// SPDX-License-Identifier: Apache-2.0

package local

import (
	"strings"
	"testing"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := withCost(10)
	digest := strings.Repeat("x", 31)
	for name, tc := range map[string]struct {
		cfg  Config
		want []string
	}{
		"no users":       {Config{}, []string{"user <name> <bcrypt-hash>"}},
		"bad name":       {Config{Name: "a/b", Users: []User{{Name: "bob", Hash: good}}}, []string{`name "a/b"`}},
		"name, colon":    {Config{Name: "a:b", Users: []User{{Name: "bob", Hash: good}}}, []string{`name "a:b"`}},
		"empty user":     {Config{Users: []User{{Hash: good}}}, []string{"a name is"}},
		"blank user":     {Config{Users: []User{{Name: "bob ", Hash: good}}}, []string{"blanks"}},
		"user, line":     {Config{Users: []User{{Name: "bo\nb", Hash: good}}}, []string{"printable"}},
		"user, NUL":      {Config{Users: []User{{Name: "bob\x00", Hash: good}}}, []string{"printable"}},
		"user, bidi":     {Config{Users: []User{{Name: "\u202ebob", Hash: good}}}, []string{"printable"}},
		"user, not utf8": {Config{Users: []User{{Name: "\xff", Hash: good}}}, []string{"printable"}},
		"user too long":  {Config{Users: []User{{Name: strings.Repeat("b", 257), Hash: good}}}, []string{"printable"}},
		"twice":          {Config{Users: []User{{Name: "bob", Hash: good}, {Name: "bob", Hash: withCost(12)}}}, []string{`user "bob": listed twice`}},
		"no hash":        {Config{Users: []User{{Name: "bob"}}}, []string{"no password hash", "caddy hash-password"}},
		"plain":          {Config{Users: []User{{Name: "bob", Hash: "hunter2"}}}, []string{"not a bcrypt hash", "caddy hash-password"}},
		"argon2":         {Config{Users: []User{{Name: "bob", Hash: "$argon2id$v=19$m=47104,t=1,p=1$aaaaaaaaaaaaaaaaaaaaaa$" + digest}}}, []string{"not a bcrypt hash"}},
		"md5":            {Config{Users: []User{{Name: "bob", Hash: "$1$abcdefgh$" + digest}}}, []string{"not a bcrypt hash"}},
		"cut off":        {Config{Users: []User{{Name: "bob", Hash: good[:59]}}}, []string{"not a bcrypt hash"}},
		"too much":       {Config{Users: []User{{Name: "bob", Hash: good + "x"}}}, []string{"not a bcrypt hash"}},
		"line break":     {Config{Users: []User{{Name: "bob", Hash: good[:59] + "\n"}}}, []string{"not a bcrypt hash"}},
		"bad salt":       {Config{Users: []User{{Name: "bob", Hash: "$2a$10$" + strings.Repeat("!", 22) + digest}}}, []string{"not a bcrypt hash"}},
		"flawed 2x":      {Config{Users: []User{{Name: "bob", Hash: strings.Replace(good, "$2a", "$2x", 1)}}}, []string{"not a bcrypt hash"}},
		"version 3":      {Config{Users: []User{{Name: "bob", Hash: strings.Replace(good, "$2a", "$3a", 1)}}}, []string{"not a bcrypt hash"}},
		"cheap":          {Config{Users: []User{{Name: "bob", Hash: withCost(9)}}}, []string{"cost is 9", "10 to 16"}},
		"cheapest":       {Config{Users: []User{{Name: "bob", Hash: withCost(4)}}}, []string{"cost is 4"}},
		"below bcrypt":   {Config{Users: []User{{Name: "bob", Hash: withCost(3)}}}, []string{"not a bcrypt hash"}},
		"dear":           {Config{Users: []User{{Name: "bob", Hash: withCost(17)}}}, []string{"cost is 17"}},
		"email":          {Config{Users: []User{{Name: "bob", Hash: good, Email: "bob"}}}, []string{"not an e-mail address"}},
		"email, blank":   {Config{Users: []User{{Name: "bob", Hash: good, Email: "bob @x"}}}, []string{"not an e-mail address"}},
		"email, line":    {Config{Users: []User{{Name: "bob", Hash: good, Email: "bob@x\ny"}}}, []string{"not an e-mail address"}},
		"group":          {Config{Users: []User{{Name: "bob", Hash: good, Groups: []string{"a", ""}}}}, []string{`"" cannot be a group`}},
		"all together": {
			Config{Name: "/", Users: []User{{Name: "a", Hash: "hunter2", Email: "x"}, {Name: "b:c", Hash: withCost(4)}}},
			[]string{`name "/"`, `user "a"`, "not a bcrypt hash", "not an e-mail address", `user "b:c"`, "colon", "cost is 4"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := New(tc.cfg)
			if err == nil || l != nil {
				t.Fatal("accepted")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q: %v", want, err)
				}
			}
			for _, secret := range []string{"hunter2", digest, strings.Repeat(".", 22)} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("error tells the hash: %v", err)
				}
			}
		})
	}
}

func TestNewAccepts(t *testing.T) {
	t.Parallel()
	for cost := minCost; cost <= maxCost; cost++ {
		for _, prefix := range []string{"$2a", "$2b", "$2y"} {
			h := strings.Replace(withCost(cost), "$2a", prefix, 1)
			if _, err := New(Config{Users: []User{{Name: "bob", Hash: h}}}); err != nil {
				t.Errorf("%s, cost %d: %v", prefix, cost, err)
			}
		}
	}
}

// TestAttackNameThatCollidesWithAnotherList: user "b:c" of the list "local"
// would have the subject of user "c" of the list "b".
func TestAttackNameThatCollidesWithAnotherList(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{Users: []User{{Name: "home:bob", Hash: withCost(10)}}}); err == nil {
		t.Error("accepted")
	}
}

// TestNewKeepsItsOwnList: the configuration may be reused by its owner.
func TestNewKeepsItsOwnList(t *testing.T) {
	t.Parallel()
	groups := []string{"family"}
	l, _ := counting(t, Config{Users: []User{{Name: "bob", Hash: withCost(10), Groups: groups}}})
	groups[0] = "admins"
	id, err := l.Authenticate(t.Context(), "bob", right, "192.0.2.1")
	if err != nil || id.Groups[0] != "family" {
		t.Errorf("groups %q, error %v", id.Groups, err)
	}
}
