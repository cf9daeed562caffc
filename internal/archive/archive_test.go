// SPDX-License-Identifier: Apache-2.0

package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/archive"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

var header = archive.Header{CreatedAt: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), KeyCheck: "check"}

func records(n int) []storage.Entry {
	list := make([]storage.Entry, n)
	for i := range list {
		list[i] = storage.Entry{Kind: storage.KindGrant, Data: fmt.Appendf(nil, "\x01{\"id\":\"%d\xff\"}\n", i)}
	}
	return list
}

func seq(list []storage.Entry) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		for _, e := range list {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func write(t *testing.T, list []storage.Entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	if n, err := archive.Write(&buf, header, seq(list)); err != nil || n != len(list) {
		t.Fatalf("wrote %d, %v", n, err)
	}
	return buf.Bytes()
}

func read(r io.Reader) (archive.Header, []storage.Entry, error) {
	h, entries, err := archive.Read(r)
	if err != nil {
		return h, nil, err
	}
	var list []storage.Entry
	for e, err := range entries {
		if err != nil {
			return h, list, err
		}
		list = append(list, e)
	}
	return h, list, nil
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	big := storage.Entry{Kind: storage.KindClient, Data: bytes.Repeat([]byte{0xfe, '\n'}, 1<<20)}
	for name, want := range map[string][]storage.Entry{"none": {}, "one": records(1), "many": records(1000), "big": {big, records(1)[0]}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := write(t, want)
			h, got, err := read(iotest.HalfReader(bytes.NewReader(file)))
			if err != nil {
				t.Fatal(err)
			}
			same := func(a, b storage.Entry) bool { return a.Kind == b.Kind && bytes.Equal(a.Data, b.Data) }
			if !slices.EqualFunc(want, got, same) {
				t.Errorf("read %d records, not those that were written", len(got))
			}
			if diff := cmp.Diff(header, h); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			if _, n, err := archive.Verify(bytes.NewReader(file)); n != len(want) || err != nil {
				t.Errorf("verified %d, %v", n, err)
			}
		})
	}
}

// A backup that ran out of disk, or was copied halfway, restores a gateway that
// forgot some revocations and some users. It must be found out before.
func TestACutArchiveIsNoArchive(t *testing.T) {
	t.Parallel()
	file := write(t, records(20))
	for n := range file {
		if _, _, err := archive.Verify(bytes.NewReader(file[:n])); err == nil {
			t.Fatalf("%d of %d bytes pass", n, len(file))
		}
	}
}

func TestAChangedArchiveIsNoArchive(t *testing.T) {
	t.Parallel()
	file := write(t, records(3))
	lines := bytes.SplitAfter(file, []byte("\n"))
	swapped := slices.Concat(lines[0], lines[2], lines[1], lines[3], lines[4])
	without := slices.Concat(lines[0], lines[2], lines[3], lines[4])
	twice := slices.Concat(lines[0], lines[1], lines[1], lines[2], lines[3], lines[4])
	for name, changed := range map[string][]byte{
		"lines swapped": swapped, "a line left out": without, "a line twice": twice,
		"more after the end": append(slices.Clone(file), "\n"...), "two archives": append(slices.Clone(file), file...),
		"an empty line": slices.Concat(lines[0], []byte("\n"), lines[1], lines[2], lines[3], lines[4]),
	} {
		if _, _, err := archive.Verify(bytes.NewReader(changed)); !errors.Is(err, archive.ErrIncomplete) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range file {
		changed := slices.Clone(file)
		changed[i] ^= 1
		if h, list, err := read(bytes.NewReader(changed)); err == nil && (len(list) != 3 || !cmp.Equal(list, records(3)) || h != header) {
			t.Errorf("a changed byte %d is read as something else", i)
		}
	}
}

func TestOtherFilesAreNoArchives(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{
		"another program's": `{"archive":"other","version":1}` + "\n", "no JSON": "hello\n", "a list": "[]\n",
		"a newer version":  strings.Replace(string(write(t, nil)), `"version":1`, `"version":2`, 1),
		"one endless line": strings.Repeat("x", 17<<20),
	} {
		if _, _, err := archive.Verify(strings.NewReader(file)); !errors.Is(err, archive.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := archive.Verify(strings.NewReader("")); !errors.Is(err, archive.ErrIncomplete) {
		t.Errorf("nothing: %v", err)
	}
}

func TestErrorsOfOthersComeThrough(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	if _, _, err := archive.Verify(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("reading: %v", err)
	}
	failing := func(yield func(storage.Entry, error) bool) {
		_ = yield(records(1)[0], nil) && yield(storage.Entry{}, broken)
	}
	var buf bytes.Buffer
	if n, err := archive.Write(&buf, header, failing); n != 1 || !errors.Is(err, broken) {
		t.Errorf("exporting: %d, %v", n, err)
	}
	if _, _, err := archive.Verify(&buf); err == nil {
		t.Error("what a failed export left behind passes")
	}
	if _, err := archive.Write(failingWriter{broken}, header, seq(records(5000))); !errors.Is(err, broken) {
		t.Errorf("writing: %v", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// Whoever stops reading early stops the reader, too.
func TestReadingMayStop(t *testing.T) {
	t.Parallel()
	_, entries, err := archive.Read(bytes.NewReader(write(t, records(10))))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for range entries {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("read %d", n)
	}
}

func FuzzRead(f *testing.F) {
	var buf bytes.Buffer
	_, _ = archive.Write(&buf, header, seq(records(2)))
	f.Add(buf.Bytes())
	f.Add([]byte(`{"archive":"caddy-mcp-oauth","version":1}` + "\n" + `{"end":{"records":0}}` + "\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		h, list, err := read(bytes.NewReader(file))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if _, err := archive.Write(&again, h, seq(list)); err != nil {
			return // a year that cannot be written
		}
		if _, back, err := read(&again); err != nil || len(back) != len(list) {
			t.Errorf("what was read cannot be read again: %d of %d, %v", len(back), len(list), err)
		}
	})
}
