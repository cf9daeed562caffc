// SPDX-License-Identifier: Apache-2.0

// Package doctor looks at an MCP server from outside, the way MCP clients do
// before they sign anybody in, and says which of them would fail and why.
//
// It works in three steps. Probing (probe*.go) sends the requests that clients
// send and keeps the answers as an [Observation]. Checks (check*.go) judge the
// observation against the specifications, one property each. Walks (walk*.go)
// repeat the discovery of each client family on the same observation, with that
// client's own tolerance and its own ways around what is missing, and find where
// it would end. Checks and walks are pure.
//
// Only unauthenticated requests are sent, and one with a token that is none; no
// secret is ever part of them, and nothing is changed at the server unless
// [Options.Register] asks for throw-away registrations. What the server answers
// is untrusted: bodies are bounded, text is made printable, and what it refers
// to elsewhere is fetched only where a client would.
//
// The package shares no code with the gateway, on purpose: a witness that used
// the same code would make the same mistakes.
package doctor
