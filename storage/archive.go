// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"context"
	"iter"
)

// Archive is implemented by stores whose whole content can be taken out and put
// into another one, for backups and for moving between engines.
type Archive interface {
	// Export yields every record that is not past its end. Each is as it was at some
	// moment of the export; where the engine can, all are of the same moment. An
	// error ends it.
	Export(ctx context.Context) iter.Seq2[Entry, error]
	// Import stores the entries of an export and builds what the engine keeps beside
	// records. It refuses a store that is not empty (ErrNotEmpty) and entries that it
	// cannot read (ErrFormat). Of a record that comes twice the later one counts, and
	// one past its end is left out. Entry.Data is the reader's again once the next
	// entry is asked for. After an error the store must be thrown away.
	Import(ctx context.Context, entries iter.Seq2[Entry, error]) error
}

// Entry is one record of an archive in its stored form, see Encode.
type Entry struct {
	Kind Kind
	Data []byte
}

// Kind names a kind of record. The names are part of the archive's format.
type Kind string

// The kinds of records.
const (
	KindClient  Kind = "client"
	KindPending Kind = "pending"
	KindAccount Kind = "account"
	KindGrant   Kind = "grant"
	KindSession Kind = "session"
	KindConsent Kind = "consent"
	KindOnce    Kind = "once"
	KindKey     Kind = "key"
)
