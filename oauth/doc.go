// SPDX-License-Identifier: Apache-2.0

// Package oauth is the protocol and nothing else: it turns untrusted bytes into
// checked values and checked values into wire formats. It does no I/O, reads no
// clock and keeps no state, so everything here can be tested with a string and
// an expected answer. One RFC, or one concern of one, per file.
//
// Every function that reads what a stranger sent returns an [*Error] the caller
// can write to the client as it is: its text names the parameter and the reason
// and never repeats what was sent.
package oauth
