// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/http"
	"slices"
	"strings"
)

const mendGuard = "Every request without a token must get 401 and WWW-Authenticate, before anything else looks at it. " +
	"In the Caddyfile, is the path in the URL the one of `mcp_gateway`, and does no other directive answer first?"

// mendFirewall is for answers that are not the server's.
const mendFirewall = "Let the MCP path, /.well-known/oauth-*, /register and /token pass the firewall, bot protection or proxy in front " +
	"without a challenge: programs cannot solve one."

// unauthenticatedCheck is the answer that starts everything (R8.4, R8.5).
func unauthenticatedCheck(o *observation) Check {
	e := o.first()
	both := seen(e, o.modern)
	switch {
	case e.ok(http.StatusUnauthorized) && o.modern.ok(http.StatusUnauthorized):
		return pass(checkUnauthenticated, "a request without a token gets 401")
	case e.ok(http.StatusUnauthorized):
		return fail(checkUnauthenticated, "initialize without a token gets 401, server/discover, with which newer clients begin, does not",
			mendGuard, both...)
	case e.firewall():
		return fail(checkUnauthenticated, "something in front of the server refuses with a web page", mendFirewall, both...)
	case e.Status >= 200 && e.Status < 300:
		return fail(checkUnauthenticated, "the server lets everybody in, or answers the first request before it looks for a token", mendGuard, both...)
	case e.redirect() && keepsMethod(e):
		return warn(checkUnauthenticated, "the server redirects", "Give people the URL it redirects to, and examine that one.", both...)
	case e.redirect():
		return fail(checkUnauthenticated, "the server redirects to another origin, or so that a POST becomes a GET",
			"Answer 401 at the URL itself; sign-in pages are for /authorize. If the redirect only changes the URL, give people the new one.", both...)
	case e.Status == http.StatusForbidden:
		return fail(checkUnauthenticated, "the server refuses with 403 instead of asking for a token", mendGuard, both...)
	case e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed:
		return fail(checkUnauthenticated, "there is no MCP server at this path", mendGuard, both...)
	}
	return fail(checkUnauthenticated, "the answer is neither 401 nor anything a client can use", mendGuard, both...)
}

// methodsCheck: authorization is on every request (R8.1).
func methodsCheck(o *observation) Check {
	var bad []*Exchange
	var affected []string
	for _, m := range []struct{ method, client string }{
		{http.MethodGet, ""}, {http.MethodHead, geminiCLI}, {http.MethodDelete, ""},
	} {
		e := o.bare[m.method]
		if e.ok(http.StatusUnauthorized) && len(e.Header.Values("WWW-Authenticate")) > 0 {
			continue
		}
		bad = append(bad, e)
		if m.client != "" {
			affected = append(affected, m.client)
		}
	}
	switch {
	case len(bad) == 0:
		return pass(checkMethods, "GET, HEAD and DELETE without a token get 401 as well")
	case slices.ContainsFunc(bad, func(e *Exchange) bool { return e.Err == nil && e.Status >= 200 && e.Status < 300 }):
		return fail(checkMethods, "a request without a token is let in", mendGuard, seen(bad...)...).affecting(affected...)
	}
	if !o.first().ok(http.StatusUnauthorized) {
		return skip(checkMethods, "not even POST asks for a token")
	}
	return warn(checkMethods, "not every method gets 401 and WWW-Authenticate", mendGuard, seen(bad...)...).affecting(affected...)
}

func badTokenCheck(o *observation) Check {
	e := o.badToken
	c, _ := bearer(parsed(e.Header.Values("WWW-Authenticate")))
	const mend = `Answer a token that is unknown or expired with 401 and error="invalid_token": only that makes clients refresh it or sign in again.`
	switch {
	case e.ok(http.StatusUnauthorized) && c.params["error"] == "invalid_token":
		return pass(checkBadToken, "a bad token gets 401 and invalid_token")
	case e.ok(http.StatusUnauthorized):
		return warn(checkBadToken, "a bad token gets 401, but not invalid_token", mend, e.header("WWW-Authenticate"))
	case !o.first().ok(http.StatusUnauthorized) && e.Status == o.first().Status:
		return skip(checkBadToken, "nothing here asks for a token")
	case e.firewall():
		return fail(checkBadToken, "something in front of the server refuses a request with Authorization", mendFirewall, e.String())
	case e.Err == nil && e.Status >= 200 && e.Status < 300:
		return fail(checkBadToken, "any token is let in", mendGuard, e.String())
	}
	return fail(checkBadToken, "a bad token does not get 401", mend, e.String())
}

// slashCheck: people paste the URL with and without its slash.
func slashCheck(o *observation) Check {
	e := o.slash
	switch {
	case e == nil:
		return pass(checkSlash, "the URL has no path")
	case e.ok(http.StatusUnauthorized):
		return pass(checkSlash, "with and without a trailing slash the answer is the same")
	case e.Err == nil && e.Status >= 200 && e.Status < 300:
		return fail(checkSlash, "with the other trailing slash, requests without a token are let in", mendGuard, e.String())
	case e.redirect():
		return warn(checkSlash, "the other trailing slash redirects", "Give people the URL exactly as you typed it here, or guard both forms.", e.String())
	}
	return warn(checkSlash, "the URL with the other trailing slash is no MCP server",
		"Give people the URL exactly as you typed it here, or guard both forms.", e.String())
}

// challengeCheck is the form of WWW-Authenticate (R8.6).
func challengeCheck(o *observation) Check {
	values := o.challengeHeader()
	const mend = `Send one header that begins so: WWW-Authenticate: Bearer resource_metadata="…"`
	evidence := o.first().header("WWW-Authenticate")
	list, err := parseChallenges(values)
	c, ok := bearer(list)
	switch {
	case !o.first().ok(http.StatusUnauthorized):
		return skip(checkChallenge, "nothing here asks for a token")
	case len(values) == 0:
		return fail(checkChallenge, "there is no WWW-Authenticate header", mend, evidence)
	case err != nil:
		return fail(checkChallenge, "WWW-Authenticate cannot be parsed", mend, evidence)
	case !ok:
		return fail(checkChallenge, "WWW-Authenticate asks for something else than a Bearer token", mend, evidence)
	case c.params["resource_metadata"] == "":
		return fail(checkChallenge, "WWW-Authenticate does not say where the metadata is", mend, evidence)
	case firstWordReading(values) == "":
		return fail(checkChallenge, "WWW-Authenticate does not begin with Bearer: clients on the TypeScript SDK look at its first word only",
			"Put the Bearer challenge first. "+mend, evidence)
	case !c.quoted["resource_metadata"]:
		return fail(checkChallenge, "the value of resource_metadata is not in quotes", mend, evidence)
	case firstWordReading(values) != c.params["resource_metadata"]:
		return fail(checkChallenge, "another text in WWW-Authenticate looks like resource_metadata=",
			"Keep such text out of error_description and realm.", evidence)
	}
	return pass(checkChallenge, "WWW-Authenticate is a Bearer challenge that names the metadata")
}

// challengeURLCheck is where the challenge points (R2.5).
func challengeURLCheck(o *observation) Check {
	address := parsedReading(o.challengeHeader())
	want := o.target.insert(wellKnownResource)
	evidence := o.first().header("WWW-Authenticate")
	switch {
	case address == "":
		return skip(checkChallengeURL, "there is no resource_metadata")
	case o.target.inserted(address) && (o.named.readable() || o.named == o.resource):
		return pass(checkChallengeURL, "it is the path-inserted address")
	case o.target.inserted(address):
		return fail(checkChallengeURL, "there is nothing to read at the address in the challenge", mendMetadata, o.named.String())
	case !sameOrigin(address, o.target.URL):
		return fail(checkChallengeURL, "resource_metadata is at another origin",
			"It must be "+want+". Behind a proxy, set `issuer` to the public URL.", evidence)
	}
	return fail(checkChallengeURL, "resource_metadata is not the path-inserted address", "It must be "+want+".", evidence)
}

func challengeErrorCheck(o *observation) Check {
	c, ok := bearer(parsed(o.challengeHeader()))
	switch {
	case !ok:
		return skip(checkChallengeError, "there is no Bearer challenge")
	case c.params["error"] == "":
		return pass(checkChallengeError, "a request without a token is not called an error")
	}
	return warn(checkChallengeError, "the challenge carries an error code although no token was sent",
		"Leave error= out where no token was sent (RFC 6750 §3.1).", o.first().header("WWW-Authenticate"))
}

func challengeScopeCheck(o *observation) Check {
	c, ok := bearer(parsed(o.challengeHeader()))
	switch {
	case !ok:
		return skip(checkChallengeScope, "there is no Bearer challenge")
	case strings.TrimSpace(c.params["scope"]) != "":
		return pass(checkChallengeScope, "the challenge says which scope to ask for")
	}
	return warn(checkChallengeScope, "the challenge does not say which scope to ask for",
		"Add scope=\"…\"; without it clients ask for everything they find in the metadata.", o.first().header("WWW-Authenticate"))
}
