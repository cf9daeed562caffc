// SPDX-License-Identifier: Apache-2.0

package testmcp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// maxCountdown bounds a countdown, in steps and in time, so that no client can
// occupy the sample server for long.
const (
	maxCountdownSteps = 100
	maxCountdownPause = 5 * time.Second
)

// EchoInput is what echo takes.
type EchoInput struct {
	Text string `json:"text" jsonschema:"what to return"`
}

func echo(_ context.Context, _ *mcp.CallToolRequest, in EchoInput) (*mcp.CallToolResult, any, error) {
	return text(in.Text), nil, nil
}

// AddInput is what add takes.
type AddInput struct {
	A float64 `json:"a" jsonschema:"first number"`
	B float64 `json:"b" jsonschema:"second number"`
}

// AddOutput is what add returns.
type AddOutput struct {
	Sum float64 `json:"sum"`
}

func add(_ context.Context, _ *mcp.CallToolRequest, in AddInput) (*mcp.CallToolResult, AddOutput, error) {
	return nil, AddOutput{Sum: in.A + in.B}, nil
}

// CountdownInput is what countdown takes.
type CountdownInput struct {
	From int `json:"from" jsonschema:"where to start, at most 100"`
	// PauseMS is the time between two steps in milliseconds.
	PauseMS int `json:"pause_ms,omitempty" jsonschema:"milliseconds between two steps, at most 5000"`
}

// countdown reports one progress notification per step, on the stream of the
// call, and ends early when the call is cancelled.
func countdown(ctx context.Context, req *mcp.CallToolRequest, in CountdownInput) (*mcp.CallToolResult, any, error) {
	pause := time.Duration(in.PauseMS) * time.Millisecond
	if in.From < 0 || in.From > maxCountdownSteps || pause < 0 || pause > maxCountdownPause {
		return nil, nil, errors.New("from must be 0 to 100, pause_ms 0 to 5000")
	}
	for left := in.From; left > 0; left-- {
		if err := progress(ctx, req, in.From-left+1, in.From, fmt.Sprintf("%d…", left)); err != nil {
			return nil, nil, err
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-time.After(pause):
		}
	}
	return text("lift-off"), nil, nil
}

// reconnect reports progress, closes the stream the way a server does that
// wants its client to poll (SEP-1699), reports progress again while nobody
// listens, and returns. A client sees all of it only by resuming the stream
// with Last-Event-ID.
func reconnect(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	if req.Extra == nil || req.Extra.CloseSSEStream == nil {
		return nil, nil, errors.New("this transport cannot close a stream")
	}
	if err := progress(ctx, req, 1, 2, "before"); err != nil {
		return nil, nil, err
	}
	req.Extra.CloseSSEStream(mcp.CloseSSEStreamArgs{RetryAfter: 10 * time.Millisecond})
	if err := progress(ctx, req, 2, 2, "after"); err != nil {
		return nil, nil, err
	}
	return text("resumed"), nil, nil
}

// progress notifies the caller if it asked to be notified.
func progress(ctx context.Context, req *mcp.CallToolRequest, done, total int, message string) error {
	token := req.Params.GetProgressToken()
	if token == nil {
		return nil
	}
	err := req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{
		ProgressToken: token, Progress: float64(done), Total: float64(total), Message: message,
	})
	if err != nil {
		return fmt.Errorf("notify progress: %w", err)
	}
	return nil
}

func text(s string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: s}}}
}
