// SPDX-License-Identifier: Apache-2.0

//go:build linux || darwin

package bolt

import (
	"bytes"
	"errors"
	"os"
	"testing"
)

func init() { children["upgrade on a full disk"] = fullUpgradeChild }

func fullUpgradeChild(path string) error {
	if err := limitFile(1); err != nil {
		return err
	}
	s, err := Open(path, Options{SweepInterval: -1})
	if err == nil {
		return errors.Join(errors.New("a file was upgraded on a full disk"), s.Close())
	}
	return nil
}

// There is no room for the upgrade. The file is as it was, so that the version
// before it still starts, and so does this one when there is room.
func TestUpgradeOnAFullDisk(t *testing.T) {
	t.Parallel()
	path := format1(t, unchanged)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	runChild(t, "upgrade on a full disk", path)
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(after, before) {
		t.Errorf("the file was changed (%v)", err)
	}
	s, _ := open(t, path)
	checkFile(t, s)
	if v := formatOf(t, s); v != 2 {
		t.Errorf("format %d, want 2", v)
	}
}
