// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const goldenSeparator = "\n----------\n"

// TestGolden adapts testdata/*.caddyfiletest: a Caddyfile, a line of dashes, and
// the expected JSON, or lines that the error contains, each of them.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, ok := strings.Cut(string(content), goldenSeparator)
			if !ok {
				t.Fatalf("%s has no separator", file)
			}
			if strings.HasPrefix(want, "{") || strings.TrimSpace(want) == "" {
				checkGoldenJSON(t, file, input+"\n", want)
				return
			}
			checkGoldenError(t, input+"\n", want)
		})
	}
}

func checkGoldenJSON(t *testing.T, file, input, want string) {
	t.Helper()
	got := indent(t, mustAdaptClean(t, input))
	if *update {
		if err := os.WriteFile(file, []byte(strings.TrimSuffix(input, "\n")+goldenSeparator+got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.TrimSpace(want), strings.TrimSpace(got)); diff != "" {
		t.Errorf("adapted JSON (-want +got):\n%s", diff)
	}
}

func checkGoldenError(t *testing.T, input, want string) {
	t.Helper()
	out, _, err := adapt(input)
	if err == nil {
		t.Fatalf("adapted without an error:\n%s", out)
	}
	for line := range strings.Lines(want) {
		if line = strings.TrimSpace(line); !strings.Contains(err.Error(), line) {
			t.Errorf("the error does not contain\n  %s\nbut is\n  %v", line, err)
		}
	}
}

// mustAdaptClean wants no warning at all, the one about formatting included.
func mustAdaptClean(t *testing.T, input string) []byte {
	t.Helper()
	out, warnings, err := adapt(input)
	if err != nil {
		t.Fatalf("adapt: %v", err)
	}
	for _, w := range warnings {
		t.Errorf("warning: %s", w)
	}
	return out
}

func indent(t *testing.T, raw []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return b.String() + "\n"
}

// TestPublishedCaddyfiles loads every Caddyfile that users are told to copy.
func TestPublishedCaddyfiles(t *testing.T) {
	examples, err := filepath.Glob("../examples/*/Caddyfile")
	if err != nil || len(examples) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range append(examples, "../Caddyfile.example") {
		t.Run(filepath.ToSlash(strings.TrimPrefix(file, "../")), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			checkPublished(t, string(content))
		})
	}
	docs, err := filepath.Glob("../docs/*.md")
	if err != nil || len(docs) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	for _, doc := range append(docs, "../README.md") {
		for i, fence := range fences(t, doc) {
			t.Run(fmt.Sprint(filepath.ToSlash(strings.TrimPrefix(doc, "../")), "/", i+1), func(t *testing.T) { checkPublished(t, fence) })
		}
	}
}

func checkPublished(t *testing.T, input string) {
	t.Helper()
	mustAdaptClean(t, input)
	if strings.Contains(input, "{$") {
		t.Error("uses {$NAME}, whose value GET /config/ shows; use {env.NAME}")
	}
	if !strings.Contains(input, "\tmcp_oauth {") {
		return // a part of a configuration: it adapts, but has no upstream
	}
	if err := validate(t, mustAdapt(t, fakeSecrets(t, input))); err != nil {
		t.Errorf("validate: %v", err)
	}
}

// fences returns the code blocks of a Markdown file that are tagged caddyfile.
func fences(t *testing.T, file string) []string {
	t.Helper()
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	parts := strings.Split(string(content), "```")
	for i := 1; i < len(parts); i += 2 {
		if body, ok := strings.CutPrefix(parts[i], "caddyfile\n"); ok {
			found = append(found, body)
		}
	}
	return found
}
