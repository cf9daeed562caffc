// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
)

// rateOff switches a limit off.
const rateOff = "off"

var errRate = errors.New("write <number>/<duration> such as 300/10m, or off")

// parseRate reads "300/10m" or "off". The zero gateway.Rate is no limit.
func parseRate(s string) (gateway.Rate, error) {
	if s == rateOff {
		return gateway.Rate{}, nil
	}
	count, period, ok := strings.Cut(s, "/")
	if !ok {
		return gateway.Rate{}, fmt.Errorf("%q is not a rate: %w", s, errRate)
	}
	n, err := strconv.Atoi(count)
	if err != nil || n <= 0 || n > 1_000_000_000 {
		return gateway.Rate{}, fmt.Errorf("%q is not a positive number: %w", count, errRate)
	}
	per, err := caddy.ParseDuration(period)
	if err != nil || per < time.Millisecond {
		return gateway.Rate{}, fmt.Errorf("%q is not a positive duration: %w", period, errRate)
	}
	return gateway.Rate{Events: n, Per: per}, nil
}
