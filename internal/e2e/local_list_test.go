// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
)

// The list of local users is a provider like the others: who is taken off it, or out of
// a group, has lost their access at the next look, without any token to ask with.
// Colleagues go on.
func TestLocalUserIsTakenOffTheList(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte(localPassword), 10)
	if err != nil {
		t.Fatal(err)
	}
	user := func(name, group string) string { return fmt.Sprintf("\tuser %s %s %s", name, hash, group) }
	for name, list := range map[string][]string{
		"removed":          {"local {", user("erin", "design"), "}"},
		"in another group": {"local {", user("dana", "former"), user("erin", "design"), "}"},
	} {
		t.Run(name, func(t *testing.T) {
			backend := &testmcp.Scripted{}
			backend.Always(testmcp.JSON(http.StatusOK, "{}"))
			c := config{
				backend: serveBackend(t, backend), noGitHub: true, gateway: []string{"allow group:design"},
				global: []string{"local {", user("dana", "design"), user("erin", "design"), "}"},
			}
			g := startGateway(t, c)
			held := map[string]tokenSet{}
			for _, name := range []string{"dana", "erin"} {
				p := newPerson()
				p.afterConsent = func(at *page) (*page, error) {
					return p.browser.submit(t.Context(), at, "Sign in", url.Values{"username": {name}, "password": {localPassword}})
				}
				held[name] = signInBy(t, g, p)
			}
			c.global = list
			g.configure(c)
			g.aged("local:dana", time.Hour)
			wantSignedOut(t, g, held["dana"])
			g.aged("local:erin", 48*time.Hour) // there is always somebody to ask
			if !usable(t, g, held["erin"].Access) {
				t.Error("the colleague lost access, too")
			}
			g.mustLogTimes(t, messageRevoked, 1)
		})
	}
}
