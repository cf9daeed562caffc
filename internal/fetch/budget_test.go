// SPDX-License-Identifier: Apache-2.0

package fetch

import "testing"

// The limit of a host holds for all spellings of it.
func TestHostKey(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"client.example": "client.example", "CLIENT.Example": "client.example", "client.example.": "client.example",
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:DB8:0:0::1": "2001:db8::1", "fe80::1%a": "fe80::1",
	} {
		if got := hostKey(host); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}
