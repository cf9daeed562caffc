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

	// What only a server asks for that is to receive the token.
	"user":            "read and change your profile",
	"repo":            "read and change all your repositories, private ones too",
	"public_repo":     "read and change your public repositories",
	"delete_repo":     "delete your repositories",
	"workflow":        "change the workflows that run in your repositories",
	"gist":            "create and change your gists",
	"notifications":   "read your notifications and mark them as read",
	"project":         "read and change your projects",
	"read:project":    "your projects",
	"read:packages":   "your packages",
	"write:packages":  "publish packages in your name",
	"write:org":       "change your organisations and their members",
	"admin:org":       "manage your organisations and everybody in them",
	"admin:repo_hook": "manage the webhooks of your repositories",
}

func terms(scopes []string) []term {
	out := make([]term, 0, len(scopes))
	for _, s := range scopes {
		out = append(out, term{Code: readable(s), Meaning: meanings[s]})
	}
	return out
}
