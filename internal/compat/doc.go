// SPDX-License-Identifier: Apache-2.0

// Package compat replays real MCP clients against the gateway.
//
// clients/ has one file per client: what it sends, in which order, with which
// headers, and what it insists on in the answers. All of it was read from the
// client's source, recorded on the wire, or reported by others; each file says
// which. [Rules] are the clients' own acceptance rules, as code. The tests play
// every file against the real handlers over a real store and let the client judge.
//
// What nobody has reported of a closed client, as the port it picked or the name it
// gives itself, is a stand-in.
//
// A replay is not the program: it repeats what was known of it when the file was
// written. [Table] therefore says, client by client, what was replayed and what
// was run. The table is part of docs/clients.md; `go test -update` writes it.
package compat
