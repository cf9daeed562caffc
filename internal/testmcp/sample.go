// SPDX-License-Identifier: Apache-2.0

package testmcp

import (
	"context"
	"fmt"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Names and URIs of what the sample server offers.
const (
	ToolWhoAmI    = "whoami"
	ToolEcho      = "echo"
	ToolAdd       = "add"
	ToolCountdown = "countdown"
	ToolReconnect = "reconnect"
	ResourceAbout = "demo://about"
	PromptGreet   = "greet"
)

// aboutText is the content of ResourceAbout.
const aboutText = "A sample MCP server without any authentication of its own."

// NewServer is the sample server with all its tools, one resource and one
// prompt. It is safe for any number of sessions and transports at once.
func NewServer() *mcp.Server { return newServer(nil) }

// newServer makes a sample server whose tools see fallback where the transport
// does not hand them the headers of the request.
func newServer(fallback http.Header) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{
		Name: "sample", Title: "Sample MCP server", Version: "1.0.0",
	}, nil)
	mcp.AddTool(s, &mcp.Tool{
		Name:        ToolWhoAmI,
		Description: "Tells who the gateway says you are: the identity headers this server received.",
	}, func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, WhoAmI, error) {
		return nil, IdentityOf(headerOf(req, fallback)), nil
	})
	mcp.AddTool(s, &mcp.Tool{Name: ToolEcho, Description: "Returns its text unchanged."}, echo)
	mcp.AddTool(s, &mcp.Tool{Name: ToolAdd, Description: "Adds two numbers."}, add)
	mcp.AddTool(s, &mcp.Tool{
		Name:        ToolCountdown,
		Description: "Counts down to zero and reports progress at each step.",
	}, countdown)
	mcp.AddTool(s, &mcp.Tool{
		Name:        ToolReconnect,
		Description: "Closes its own stream half way, so that the client has to resume it.",
	}, reconnect)
	s.AddResource(&mcp.Resource{
		URI: ResourceAbout, Name: "about", MIMEType: "text/plain",
		Description: "What this server is.",
	}, readAbout)
	s.AddPrompt(&mcp.Prompt{
		Name: PromptGreet, Description: "Greets somebody.",
		Arguments: []*mcp.PromptArgument{{Name: "name", Description: "Whom to greet.", Required: true}},
	}, greet)
	return s
}

// headerOf is the header of the HTTP request that carried the call. The legacy
// transport does not pass it on, there fallback stands in.
func headerOf(req *mcp.CallToolRequest, fallback http.Header) http.Header {
	if req.Extra != nil && req.Extra.Header != nil {
		return req.Extra.Header
	}
	return fallback
}

func readAbout(_ context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{
		{URI: req.Params.URI, MIMEType: "text/plain", Text: aboutText},
	}}, nil
}

func greet(_ context.Context, req *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
	text := fmt.Sprintf("Say hello to %s.", req.Params.Arguments["name"])
	return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{
		{Role: "user", Content: &mcp.TextContent{Text: text}},
	}}, nil
}
