// SPDX-License-Identifier: Apache-2.0

// Command go is an MCP server with one tool, whoami, that believes nobody but its
// gateway. ISSUER and RESOURCE say what it expects in an assertion, JWKS_URL where the
// keys are if that is not ISSUER/jwks, PORT where to listen on loopback.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/caddy-mcp/caddy-mcp-oauth/examples/verify-assertion/go/assertion"
)

func main() {
	issuer, resource := os.Getenv("ISSUER"), os.Getenv("RESOURCE")
	if issuer == "" || resource == "" {
		log.Fatal("set ISSUER and RESOURCE, https://mcp.example.com and https://mcp.example.com/mcp for example")
	}
	jwks := os.Getenv("JWKS_URL")
	if jwks == "" {
		jwks = issuer + "/jwks"
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	server := &http.Server{
		Handler:           handler(assertion.NewVerifier(issuer, resource, jwks)),
		ReadHeaderTimeout: 10 * time.Second,
	}
	log.Fatal(server.Serve(listener))
}

func handler(v *assertion.Verifier) http.Handler {
	// One server for each request, without a session: who calls is decided anew.
	tools := mcp.NewStreamableHTTPHandler(func(r *http.Request) *mcp.Server {
		claims, _ := assertion.FromContext(r.Context())
		s := mcp.NewServer(&mcp.Implementation{Name: "whoami", Version: "1.0.0"}, nil)
		mcp.AddTool(s, &mcp.Tool{Name: "whoami", Description: "Tells who you are."},
			func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, *assertion.Claims, error) {
				return nil, claims, nil
			})
		return s
	}, &mcp.StreamableHTTPOptions{Stateless: true})
	mux := http.NewServeMux()
	mux.Handle("/mcp", tools)
	mux.HandleFunc("/whoami", func(w http.ResponseWriter, r *http.Request) {
		claims, _ := assertion.FromContext(r.Context())
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(claims)
	})
	return v.Require(mux)
}
