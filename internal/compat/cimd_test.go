// SPDX-License-Identifier: Apache-2.0

package compat

import (
	"net/url"
	"slices"
	"testing"
)

// documentHolders are the clients that have a client ID metadata document. Their
// files say what is in it; what is replayed is the registration they fall back to,
// because the gateway of these tests fetches nothing.
var documentHolders = []string{
	"ChatGPT", "Claude (web, desktop, mobile)", "Claude Code", "Codex CLI and app", "GitHub Copilot CLI", "Goose (rmcp)", "Grok",
	"VS Code and GitHub Copilot", "opencode",
}

func TestClientIDDocuments(t *testing.T) {
	t.Parallel()
	var names []string
	for _, c := range clients(t) {
		if c.Document == nil {
			continue
		}
		names = append(names, c.Name)
		u, err := url.Parse(c.Document.URL)
		if err != nil || u.Scheme != "https" || u.Path == "" || u.Path == "/" || u.RawQuery != "" {
			t.Errorf("%s: %s is no client id", c.Name, c.Document.URL)
		}
		if len(c.Document.Redirects) == 0 || !slices.Contains([]string{"none", "private_key_jwt"}, c.Document.Method) {
			t.Errorf("%s: document %+v", c.Name, c.Document)
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, documentHolders) {
		t.Errorf("documents of %q, want %q", names, documentHolders)
	}
}

// They fall back only where the metadata does not promise documents.
func TestDocumentHoldersFallBack(t *testing.T) {
	t.Parallel()
	for _, c := range clients(t) {
		if c.Document == nil {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			r := newReplay(t, c, c.Connections[0])
			r.discover()
			if r.seen.Server.Member("client_id_metadata_document_supported") != nil {
				t.Error("documents are promised, and nothing fetches them")
			}
			if r.seen.Server.Text("registration_endpoint") == "" {
				t.Error("there is nothing to fall back to")
			}
		})
	}
}
