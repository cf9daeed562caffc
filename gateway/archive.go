// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"io"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/archive"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// ErrNoArchive: the store cannot be exported.
var ErrNoArchive = errors.New("this store has no export")

// Backup writes an archive of the store while it is in use, and returns how many
// records it has.
func (st *State) Backup(ctx context.Context, w io.Writer) (records int, err error) {
	store, ok := st.store.(storage.Archive)
	if !ok {
		return 0, ErrNoArchive
	}
	h := archive.Header{CreatedAt: st.now(), KeyCheck: st.ring.Load().KeyCheck()}
	return archive.Write(w, h, store.Export(ctx))
}
