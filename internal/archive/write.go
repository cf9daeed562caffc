// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"iter"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// Write writes an archive and returns how many records it has. After an error what
// was written is no archive: it lacks its last line.
func Write(w io.Writer, h Header, entries iter.Seq2[storage.Entry, error]) (records int, err error) {
	buf := bufio.NewWriter(w)
	sum := sha256.New()
	enc := json.NewEncoder(io.MultiWriter(buf, sum))
	head := headerLine{Archive: name, Version: version, CreatedAt: h.CreatedAt.UTC(), KeyCheck: h.KeyCheck}
	if err := enc.Encode(head); err != nil {
		return 0, fmt.Errorf("write archive: %w", err)
	}
	for e, err := range entries {
		if err != nil {
			return records, err
		}
		if err := enc.Encode(recordLine{Kind: e.Kind, Data: e.Data}); err != nil {
			return records, fmt.Errorf("write archive: %w", err)
		}
		records++
	}
	end := recordLine{End: &endLine{Records: records, SHA256: sum.Sum(nil)}}
	if err := json.NewEncoder(buf).Encode(end); err != nil {
		return records, fmt.Errorf("write archive: %w", err)
	}
	if err := buf.Flush(); err != nil {
		return records, fmt.Errorf("write archive: %w", err)
	}
	return records, nil
}
