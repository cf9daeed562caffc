// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkCodec is what reading and writing back a grant costs, which a refresh does
// while every other write waits. 32 retired secrets are the most there can be. The
// strange ones have a field of a newer version.
func BenchmarkCodec(b *testing.B) {
	for _, retired := range []int{1, 32} {
		g := &Grant{
			Issuer: "https://mcp.example.com/github", ID: "abcdefghijklmnop", Subject: "github:583231", ClientID: "https://claude.ai/oauth/client.json",
			Resource: "https://mcp.example.com/mcp", Scopes: []string{"mcp"}, CreatedAt: noon, ExpiresAt: noon,
			Code: Code{Challenge: strings.Repeat("c", 43), RedirectURI: "https://claude.ai/api/mcp/auth_callback", ExpiresAt: noon, RedeemedAt: noon},
		}
		for range retired {
			g.Refresh.Retired = append(g.Refresh.Retired, Retired{Nonce: make([]byte, 16), RetiredAt: noon})
		}
		raw, err := Encode(g)
		if err != nil {
			b.Fatal(err)
		}
		strange := append([]byte("\x01"+`{"future":true,`), raw[2:]...)
		for name, raw := range map[string][]byte{"known": raw, "strange": strange} {
			b.Run(fmt.Sprintf("%s/%d retired", name, retired), func(b *testing.B) { benchCodec(b, raw) })
		}
	}
}

func benchCodec(b *testing.B, raw []byte) {
	b.ReportAllocs()
	for b.Loop() {
		g, form, err := Decode[Grant](raw)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := form.Rewrite(g); err != nil {
			b.Fatal(err)
		}
	}
}
