// SPDX-License-Identifier: Apache-2.0

package testform

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFirst(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		page   string
		action string
		fields url.Values
	}{
		"hidden fields": {
			`<form action="/a"><input type=hidden name=csrf value="x&amp;y"><input name=login></form>`,
			"/a",
			url.Values{"csrf": {"x&y"}, "login": {""}},
		},
		"only what is chosen": {
			`<form action="/a"><input type=checkbox name=off value=1><input type=checkbox name=on value=1 checked>
			 <input type=radio name=r value=a><input type=radio name=r value=b checked></form>`,
			"/a",
			url.Values{"on": {"1"}, "r": {"b"}},
		},
		"no buttons, no fields without a name": {
			`<form action="/a"><button name=decision value=approve>Yes</button><input value=1></form>`, "/a", url.Values{},
		},
		"not those of the second form": {
			`<input name=stray><form action="/a"><input name=x value=1></form><form action="/b"><input name=y></form>`,
			"/a",
			url.Values{"x": {"1"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			action, fields, err := First(strings.NewReader("<!doctype html><body>" + c.page))
			if err != nil || action != c.action {
				t.Errorf("action %q, want %q, %v", action, c.action, err)
			}
			if diff := cmp.Diff(c.fields, fields); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
	if _, _, err := First(strings.NewReader("<p>no form")); err == nil {
		t.Error("a page without a form is no error")
	}
}
