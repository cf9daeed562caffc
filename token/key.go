// SPDX-License-Identifier: Apache-2.0

package token

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Key is a master key. Everything sealed or signed uses a key derived from it
// for one purpose, never the master key itself.
type Key [32]byte

// String hides the key from logs and errors.
func (Key) String() string { return "[redacted]" }

// GoString hides the key from %#v.
func (Key) GoString() string { return "token.Key[redacted]" }

var errKeyFormat = errors.New("want 32 bytes in base64, as made by `openssl rand -base64 32`")

// ParseKey reads a key of 32 bytes in base64, standard or URL alphabet, padded
// or not. The error never contains the value.
func ParseKey(s string) (Key, error) {
	s = strings.TrimRight(strings.TrimSpace(s), "=")
	s = strings.NewReplacer("+", "-", "/", "_").Replace(s)
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(Key{}) {
		return Key{}, errKeyFormat
	}
	return Key(b), nil
}

// LoadOrCreateKey reads the key file at path, or creates it, readable by its
// owner only. Of several processes creating it at once all end up with the same
// key: the file appears complete or not at all.
func LoadOrCreateKey(path string) (Key, error) {
	k, err := loadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if err := createKey(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return Key{}, fmt.Errorf("create encryption key %s: %w", path, err)
	}
	return loadKey(path)
}

func loadKey(path string) (Key, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Key{}, fmt.Errorf("read encryption key: %w", err)
	}
	k, err := ParseKey(string(b))
	if err != nil {
		return Key{}, fmt.Errorf("encryption key %s: %w", path, err)
	}
	return k, nil
}

// createKey writes a temporary file and links it into place: unlike a rename,
// a link never replaces a key another process has put there meanwhile.
func createKey(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // 0600 by definition
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	var k Key
	_, _ = rand.Read(k[:]) // never fails, see crypto/rand
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(k[:]) + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the new directory entry survive power loss. Some systems refuse
// to sync a directory; there nothing more can be done.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	_ = d.Sync()
	return nil
}
