// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"log/slog"
	"net/http"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway/web"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// problem is a refusal shown to a person: what happened, what to do, and a reason
// code that also stands in the log, with the id of this sign-in.
type problem struct {
	status      int
	reason      string
	title, text string
	hint        string
	// hints are what the upstream said that can be done.
	hints []upstream.Hint
	flow  string
	back  *web.Link
	// cause is for the log only.
	cause error
}

const hintRestart = "Close this page and connect again from your MCP client."

// The pages that have no detail of their own.
var (
	problemStore = problem{
		status: http.StatusServiceUnavailable, reason: "store_unavailable",
		title: "Temporarily unavailable",
		text:  "The gateway cannot reach its store at the moment. Nothing was changed.",
		hint:  "Try again in a minute. If it stays like this, tell whoever runs this server.",
	}
	problemExpired = problem{
		status: http.StatusBadRequest, reason: "flow_expired",
		title: "This sign-in is over",
		text:  "It took longer than ten minutes, or it was already completed.",
		hint:  hintRestart,
	}
	problemBrowser = problem{
		status: http.StatusForbidden, reason: "foreign_browser",
		title: "Started in another browser",
		text: "This sign-in was not begun in this browser, or the browser did not keep the cookie of the page before. " +
			"If somebody sent you a link here, do not go on.",
		hint: "Allow cookies for this site, then connect again from your MCP client.",
	}
	problemForged = problem{
		status: http.StatusForbidden, reason: "cross_site",
		title: "Refused",
		text:  "This answer did not come from the page of this gateway.",
		hint:  hintRestart,
	}
	problemNoToken = problem{
		status: http.StatusForbidden, reason: "no_upstream_token",
		title: "This way to sign in is not enough",
		text: "The MCP server works with your account at the place you sign in at, and needs a token from there. " +
			"The way you signed in does not give one.",
		hint: "Connect again and choose another way to sign in, or ask whoever runs the server.",
	}
	problemNotFound = problem{
		status: http.StatusNotFound, reason: "not_found",
		title: "There is nothing here",
		text:  "Nobody should have been sent to this address. A way to sign in may have been removed in the meantime.",
		hint:  hintRestart,
	}
	problemUnknownClient = problem{
		status: http.StatusBadRequest, reason: "unknown_client",
		title: "This program is not registered here",
		text:  "The gateway does not know the program that sent you here. Its registration may have been removed.",
		hint:  "Remove this MCP server from your client and add it again, so that it registers anew.",
	}
)

// withCause and withFlow return copies, so that the shared pages stay as they are.
func (p problem) withCause(err error) problem { p.cause = err; return p }

func (p problem) withFlow(flow string) problem {
	p.flow = flow
	return p
}

// showProblem writes the page and the log line. Client mistakes are information;
// what an operator must mend is an error.
func (s *Server) showProblem(w http.ResponseWriter, r *http.Request, p problem) {
	if p.flow == "" {
		p.flow = token.NewFlowID()
	}
	level := slog.LevelInfo
	if p.status >= 500 {
		level = slog.LevelError
	}
	if p.reason == problemStore.reason {
		s.st.count(EventStoreFailed)
	}
	attrs := []slog.Attr{
		slog.String("reason", p.reason), slog.String("flow", p.flow), slog.String("path", r.URL.Path),
		slog.Int("status", p.status),
	}
	if p.cause != nil {
		attrs = append(attrs, slog.String("cause", p.cause.Error()))
	}
	s.log.LogAttrs(r.Context(), level, "sign-in refused", attrs...)
	page := &web.Problem{
		Status: p.status, Title: p.title, Text: p.text, Hint: p.hint, Reason: p.reason, Flow: p.flow, Back: p.back,
	}
	for _, h := range p.hints {
		page.Hints = append(page.Hints, web.Hint{Text: h.Text, Href: h.URL})
	}
	err := web.WriteProblem(w, page)
	if err != nil {
		s.log.Error("page could not be written", "error", err)
	}
}

// badRequestPage is for a malformed authorization request whose sender must not
// be trusted with a redirect.
func badRequestPage(e *oauth.Error) problem {
	return problem{
		status: http.StatusBadRequest, reason: e.Code,
		title: "The request is not valid",
		text:  "Your MCP client sent something this gateway cannot accept: " + e.Description + ".",
		hint:  "This is a fault of the client, or the link was damaged. " + hintRestart,
	}
}
