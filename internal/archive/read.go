// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// Verify reads a whole archive and returns its header and how many records it has,
// or why it cannot be trusted. Nothing should be restored from a file before that:
// Read finds out at the end only.
func Verify(r io.Reader) (Header, int, error) {
	h, entries, err := Read(r)
	if err != nil {
		return Header{}, 0, err
	}
	n := 0
	for _, err := range entries {
		if err != nil {
			return Header{}, 0, err
		}
		n++
	}
	return h, n, nil
}

// Read reads the header at once and the records as they are asked for, once. The
// error after the last record says whether that was all of them.
func Read(r io.Reader) (Header, iter.Seq2[storage.Entry, error], error) {
	lines := &lineReader{in: bufio.NewReaderSize(r, 64<<10), sum: sha256.New()}
	line, err := lines.next()
	if err != nil {
		return Header{}, nil, err
	}
	var head headerLine
	if err := json.Unmarshal(line, &head); err != nil || head.Archive != name || head.Version != version {
		return Header{}, nil, ErrFormat
	}
	lines.count(line)
	return Header{CreatedAt: head.CreatedAt, KeyCheck: head.KeyCheck}, lines.entries, nil
}

type lineReader struct {
	in  *bufio.Reader
	sum hash.Hash
}

func (l *lineReader) count(line []byte) { l.sum.Write(line) }

// next returns a line with its end. One without is the end of a file that was cut.
func (l *lineReader) next() ([]byte, error) {
	var line []byte
	for {
		part, err := l.in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line, nil
		case len(line) > maxLine:
			return nil, ErrFormat
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil, ErrIncomplete
		default:
			return nil, fmt.Errorf("read archive: %w", err)
		}
	}
}

func (l *lineReader) entries(yield func(storage.Entry, error) bool) {
	for n := 0; ; n++ {
		line, err := l.next()
		if err != nil {
			yield(storage.Entry{}, err)
			return
		}
		var rec recordLine
		if err := json.Unmarshal(line, &rec); err != nil || rec.End == nil && rec.Kind == "" {
			yield(storage.Entry{}, ErrIncomplete)
			return
		}
		if rec.End != nil {
			if err := l.finish(rec.End, n); err != nil {
				yield(storage.Entry{}, err)
			}
			return
		}
		l.count(line)
		if !yield(storage.Entry{Kind: rec.Kind, Data: rec.Data}, nil) {
			return
		}
	}
}

// finish holds the last line against what came before it, and wants nothing after.
func (l *lineReader) finish(end *endLine, records int) error {
	if end.Records != records || !bytes.Equal(end.SHA256, l.sum.Sum(nil)) {
		return ErrIncomplete
	}
	if _, err := l.in.ReadByte(); !errors.Is(err, io.EOF) {
		return ErrIncomplete
	}
	return nil
}
