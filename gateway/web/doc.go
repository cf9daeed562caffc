// SPDX-License-Identifier: Apache-2.0

// Package web renders the pages of the gateway: consent, sign-in with a password,
// and the page that says what went wrong.
//
// The pages are one HTML document each, with one inline style sheet: no script, no
// image, no font, nothing from elsewhere. They work without JavaScript, in any
// colour scheme, at 320 CSS pixels and with a screen reader. Everything a client
// said about itself is untrusted: see display.go for what happens to it.
//
// Each Write function renders the page as a whole before it writes a byte, so that
// a fault becomes a plain 500 and never half a page.
package web
