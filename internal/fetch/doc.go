// SPDX-License-Identifier: Apache-2.0

// Package fetch gets small JSON documents from addresses that strangers name:
// client ID metadata documents and key sets. Whoever can make a server send
// requests looks through its eyes at the network it stands in; so a request goes
// to public addresses only, says nothing about us, is followed nowhere, and
// whatever goes wrong looks the same from outside.
package fetch
