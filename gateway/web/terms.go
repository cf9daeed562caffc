// SPDX-License-Identifier: Apache-2.0

package web

// term is a scope with its meaning in plain words, if it is a well-known one.
type term struct{ Code, Meaning string }

// meanings explains scopes that GitHub, OpenID Connect and this gateway define.
// A scope of somebody else's making is shown without an explanation.
var meanings = map[string]string{
	"mcp":            "use everything this server offers, in your name",
	"offline_access": "stay connected while you are away",

	"openid":  "who you are",
	"profile": "your name and profile",
	"email":   "your e-mail address",
	"groups":  "the groups you belong to",

	"read:user":  "your profile",
	"user:email": "your e-mail addresses",
	"read:org":   "the organisations and teams you belong to",
}

func terms(scopes []string) []term {
	out := make([]term, 0, len(scopes))
	for _, s := range scopes {
		out = append(out, term{Code: readable(s), Meaning: meanings[s]})
	}
	return out
}
