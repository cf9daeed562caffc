// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// The one user of the demo.
const (
	demoUser  = "demo"
	demoEmail = "demo@example.com"
	demoGroup = "family"
)

// passwordLength is 16 base32 characters, 80 bits: out of reach for guessing,
// short enough to be typed.
const passwordLength = 16

// newPassword makes a password for this run only, and the bcrypt hash that goes
// into the Caddyfile instead of it.
func newPassword() (password, hash string, err error) {
	password = strings.ToLower(rand.Text()[:passwordLength])
	sum, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		return "", "", fmt.Errorf("hash password: %w", err)
	}
	return password, string(sum), nil
}
