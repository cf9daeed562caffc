// SPDX-License-Identifier: Apache-2.0

// Package archive is the file that `caddy mcp-oauth backup` writes and `restore`
// reads: the records of a store, one JSON object on each line, between a first line
// that says what this is and a last one that proves that nothing is missing.
//
// A file holds what the store holds: hashes of tokens and secrets, e-mail addresses,
// and sealed upstream tokens and signing keys. It does not hold the encryption key.
package archive

import (
	"errors"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// Errors of Read and Verify.
var (
	// ErrFormat: this is no archive, or one of a newer version.
	ErrFormat = errors.New("not an archive this version can read")
	// ErrIncomplete: the file was cut short or changed after it was written.
	ErrIncomplete = errors.New("the archive is incomplete or damaged")
)

// Header is what the first line says.
type Header struct {
	CreatedAt time.Time
	// KeyCheck recognises the encryption key that was in use, see
	// token.PurposeKeyCheck, so that it is not restored beside another one.
	KeyCheck string
}

const (
	name    = "caddy-mcp-oauth"
	version = 1
	// maxLine bounds one record, in bytes: many times what the largest has.
	maxLine = 16 << 20
)

type headerLine struct {
	Archive   string    `json:"archive"`
	Version   int       `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	KeyCheck  string    `json:"key_check"`
}

type recordLine struct {
	Kind storage.Kind `json:"kind,omitempty"`
	Data []byte       `json:"data,omitempty"`
	End  *endLine     `json:"end,omitempty"`
}

type endLine struct {
	Records int `json:"records"`
	// SHA256 is over every byte before the last line.
	SHA256 []byte `json:"sha256"`
}
