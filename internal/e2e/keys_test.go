// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testproc"
)

// newKey writes a key as `openssl rand -base64 32` does, and returns the placeholder
// that reads it, and the key.
func newKey(t *testing.T) (placeholder, key string) {
	t.Helper()
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails, see crypto/rand
	key = base64.StdEncoding.EncodeToString(raw)
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return "{file." + file + "}", key
}

// refusesToStart runs Caddy, which has to give up, and returns what it says.
func (g *gateway) refusesToStart(t *testing.T) string {
	t.Helper()
	caddy := testproc.Caddy.Path(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := testproc.Command(ctx, caddy, g.dir).CombinedOutput()
	exit := (*exec.ExitError)(nil)
	if ctx.Err() != nil || !errors.As(err, &exit) || exit.ExitCode() <= 0 {
		t.Fatalf("caddy was to give up: %v, %v\n%s", err, ctx.Err(), testproc.LastLines(string(out), 20))
	}
	return string(out)
}

// keyed is a gateway whose every use of its keys can be seen: sealed tokens of GitHub
// that are forwarded, signed assertions, and our own tokens.
type keyed struct {
	*gateway
	config  config
	backend *testmcp.Scripted
	held    tokenSet
	kid     string
}

func startKeyed(t *testing.T, global ...string) *keyed {
	t.Helper()
	k := &keyed{backend: &testmcp.Scripted{}}
	k.backend.Always(testmcp.JSON(http.StatusOK, "{}"))
	k.config = config{
		backend: serveBackend(t, k.backend), adminAPI: true, global: global, gateway: []string{"forward_upstream_token"},
	}
	k.gateway = startGateway(t, k.config)
	k.held = signInSet(t, k.gateway)
	k.kid, _ = verified(t, k.gateway, assertionOf(t, k.gateway, k.backend, k.held.Access))
	return k
}

// use changes the keys in the configuration.
func (k *keyed) use(keys ...string) {
	k.t.Helper()
	k.config.global = []string{"encryption_key " + strings.Join(keys, " ")}
	k.configure(k.config)
}

// goesOn checks that nobody was logged out: the access token opens, what was sealed
// in the store opens, the same key signs, and the refresh token gives a new set.
func (k *keyed) goesOn(when string) {
	k.t.Helper()
	if kid, _ := verified(k.t, k.gateway, assertionOf(k.t, k.gateway, k.backend, k.held.Access)); kid != k.kid {
		k.t.Errorf("%s: another key signs", when)
	}
	wantAuthorization(k.t, k.backend, k.held, "Bearer "+newestToken(k.t, k.github))
	next, status, err := postToken(k.t.Context(), k.gateway, refreshForm(k.held.form.Get("client_id"), k.held.Refresh))
	if err != nil || status != http.StatusOK || !usable(k.t, k.gateway, next.Access) {
		k.t.Fatalf("%s: refresh: %d, %v", when, status, err)
	}
	next.form = k.held.form
	k.held = next
}

// The operator's configuration has another key than the state was written with. Caddy
// does not start, says what to do, and leaves everything as it was.
func TestWrongEncryptionKeyAtStart(t *testing.T) {
	right, rightKey := newKey(t)
	wrong, wrongKey := newKey(t)
	k := startKeyed(t, "encryption_key "+right)
	k.stop()
	k.use(wrong)
	for range 2 { // giving up must not make the second attempt succeed
		out := k.refusesToStart(t)
		for _, want := range []string{
			"the encryption key is not the one this store was written with",
			"encryption_key has to name it, as the first key or behind a new one", "To start empty, move the state away",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is not among:\n%s", want, testproc.LastLines(out, 5))
			}
		}
		for _, secret := range []string{rightKey, wrongKey} {
			if strings.Contains(out, secret) {
				t.Error("the message shows a key")
			}
		}
	}
	k.use(right)
	k.start()
	k.goesOn("with the right key again")

	// Nor does a reload take the wrong one: the running configuration goes on.
	k.use(wrong)
	if err := k.reload(); err == nil {
		t.Error("the wrong key was loaded")
	}
	k.goesOn("after the refused reload")
}

// The key file beside the state got lost, in a move or a restore. Caddy does not go on
// with a new one, and names the file to bring back; once it is back, nobody notices.
func TestLostKeyFile(t *testing.T) {
	k := startKeyed(t)
	k.stop()
	file := filepath.Join(k.dir, "state.db.key")
	kept := filepath.Join(t.TempDir(), "kept.key")
	copyFile(t, file, kept)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if out := k.refusesToStart(t); !strings.Contains(out, file) || !strings.Contains(out, "must be restored with it") {
			t.Errorf("the message does not name %s:\n%s", file, testproc.LastLines(out, 5))
		}
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the refused start left a key file behind (%v): a restore may keep it", err)
		}
	}
	copyFile(t, kept, file)
	k.start()
	k.goesOn("with the file restored")
}

// A rotation as the reference describes it: the new key in front of the old one, by a
// reload; later the old one goes, by a restart. Nobody signs in again.
func TestKeyRotation(t *testing.T) {
	old, _ := newKey(t)
	fresh, _ := newKey(t)
	k := startKeyed(t, "encryption_key "+old)
	sealedWithOld := k.held.Access
	k.use(fresh, old)
	if err := k.reload(); err != nil {
		t.Fatal(err)
	}
	k.goesOn("with the new key and the old one")
	eventually(t, "what is stored is sealed with the new key", func() bool {
		return len(k.logged("records sealed with the new key")) == 2
	})
	k.goesOn("with everything sealed anew")
	k.stop()
	k.use(fresh)
	k.start()
	k.goesOn("without the old key")
	if usable(t, k.gateway, sealedWithOld) {
		t.Error("a token that was made with the removed key is still good")
	}
	// The old key alone is a wrong one by now.
	k.stop()
	k.use(old)
	if out := k.refusesToStart(t); !strings.Contains(out, "encryption_key has to name it") {
		t.Errorf("with the old key: %s", testproc.LastLines(out, 5))
	}
}

// An operator who generated a key so far writes one into the configuration, the file's
// behind it.
func TestFromGeneratedToConfiguredKey(t *testing.T) {
	k := startKeyed(t)
	fresh, _ := newKey(t)
	k.stop()
	k.use(fresh, "{file."+filepath.Join(k.dir, "state.db.key")+"}")
	k.start()
	k.goesOn("with a configured key before the generated one")
}
