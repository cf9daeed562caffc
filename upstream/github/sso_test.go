// SPDX-License-Identifier: Apache-2.0

package github

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseSSO(t *testing.T) {
	t.Parallel()
	const url = "https://github.com/orgs/acme/sso?authorization_request=AB;C=,D"
	for header, want := range map[string]ssoHeader{
		"":                                 {},
		"required; url=" + url:             {required: true, url: url},
		"Required;URL= " + url + " ":       {required: true, url: url},
		"required":                         {required: true},
		"required; organizations=1":        {required: true},
		"required; url":                    {required: true},
		"partial-results; organizations=1": {partial: true, orgs: []int64{1}},
		"partial-results; organizations=21955855,20582480":                 {partial: true, orgs: []int64{20582480, 21955855}},
		"partial-results; organizations= 3 , 2,,2 ":                        {partial: true, orgs: []int64{2, 3}},
		"partial-results; organizations=1;more=2":                          {partial: true, orgs: []int64{1}},
		"partial-results; organizations=a,-1,0,1.5,99999999999999999999,7": {partial: true, orgs: []int64{7}},
		"partial-results":            {partial: true},
		"partial-results; url=x":     {partial: true},
		"partial; organizations=1":   {},
		"organizations=1":            {},
		"x required; url=" + url:     {},
		"unknown; url=" + url:        {},
		"partial-results,required;x": {},
	} {
		if diff := cmp.Diff(want, parseSSO(header), cmp.AllowUnexported(ssoHeader{})); diff != "" {
			t.Errorf("%q: %s", header, diff)
		}
	}
}

// TestHugeSSOHeader: what it says first counts, and half a number does not.
func TestHugeSSOHeader(t *testing.T) {
	t.Parallel()
	long := parseSSO("partial-results; organizations=" + strings.Repeat("12345,", 2000))
	if !long.partial || long.orgs != nil {
		t.Errorf("%+v", long)
	}
	var many []string
	for i := range maxSSOOrgs + 100 {
		many = append(many, string(rune('1'+i%9))+strings.Repeat("0", i%9))
	}
	if h := parseSSO("partial-results; organizations=" + strings.Join(many, ",")); !h.partial || len(h.orgs) > maxSSOOrgs {
		t.Errorf("%d organizations", len(h.orgs))
	}
}

func TestJoinSSO(t *testing.T) {
	t.Parallel()
	got := ssoHeader{}.join(parseSSO("partial-results; organizations=3,1")).join(ssoHeader{}).join(parseSSO("partial-results; organizations=2,3"))
	if diff := cmp.Diff(ssoHeader{partial: true, orgs: []int64{1, 2, 3}}, got, cmp.AllowUnexported(ssoHeader{})); diff != "" {
		t.Error(diff)
	}
	if !got.names(2) || got.names(4) || got.names(0) {
		t.Error("names others")
	}
}

func FuzzParseSSO(f *testing.F) {
	for _, s := range []string{
		"required; url=https://github.com/orgs/a/sso", "partial-results; organizations=1,2", "partial-results; organizations=" + strings.Repeat("1,", 9000),
		"required; url=javascript:alert(1)", "required;;;", "partial-results; organizations==,", "\x00;",
	} {
		f.Add(s)
	}
	g, err := New(Config{ClientID: "id", ClientSecret: "secret"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, header string) {
		h := parseSSO(header)
		if h.required && h.partial || len(h.orgs) > 0 && !h.partial || h.url != "" && !h.required || len(h.orgs) > maxSSOOrgs {
			t.Errorf("%q: %+v", header, h)
		}
		if !slices.IsSorted(h.orgs) || slices.ContainsFunc(h.orgs, func(id int64) bool { return id <= 0 }) {
			t.Errorf("%q: %v", header, h.orgs)
		}
		if link := g.link(h.url); link != "" && !strings.HasPrefix(strings.ToLower(link), "https://github.com") {
			t.Errorf("%q leads to %q", header, link)
		}
	})
}
