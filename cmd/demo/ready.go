// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// How long the gateway may take to come up, and how often to look.
const (
	readyTimeout  = 30 * time.Second
	readyInterval = 100 * time.Millisecond
)

// errNotReady is wrapped by what the last look saw.
var errNotReady = errors.New("the gateway is not ready")

// waitReady returns once url refuses a request without a token in the way the
// gateway does. died ends the wait early.
func waitReady(ctx context.Context, url string, died <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		err := guarded(ctx, url)
		if err == nil {
			return nil
		}
		select {
		case <-died:
			return err
		case <-ctx.Done():
			return err
		case <-time.After(readyInterval):
		}
	}
}

// guarded asks once: 401 with a pointer to the resource metadata (RFC 9728).
// Anything else means that somebody else answers, or that nobody guards.
func guarded(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotReady, err)
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true}, // and no proxy: this is loopback
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotReady, err)
	}
	_ = resp.Body.Close()
	challenge := resp.Header.Get("WWW-Authenticate")
	if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(challenge, "resource_metadata=") {
		return fmt.Errorf("%w: %s answers %s without a token", errNotReady, url, resp.Status)
	}
	return nil
}
