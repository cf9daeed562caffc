// SPDX-License-Identifier: Apache-2.0

package assertion

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
)

type contextKey struct{}

// FromContext returns who calls, for handlers behind Require.
func FromContext(ctx context.Context) (*Claims, bool) {
	claims, ok := ctx.Value(contextKey{}).(*Claims)
	return claims, ok
}

// Require lets requests through that carry one valid assertion.
func (v *Verifier) Require(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		values := r.Header.Values(Header)
		if len(values) != 1 {
			http.Error(w, "one identity assertion is needed", http.StatusUnauthorized)
			return
		}
		claims, err := v.Verify(r.Context(), values[0])
		switch {
		case errors.Is(err, ErrInvalid):
			slog.Warn("request refused", "error", err)
			http.Error(w, ErrInvalid.Error(), http.StatusUnauthorized)
		case err != nil:
			slog.Error("assertions cannot be verified", "error", err)
			http.Error(w, "the keys of the gateway cannot be fetched", http.StatusServiceUnavailable)
		default:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, claims)))
		}
	})
}
