// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// The gateway runs for days, and each program gets a token an hour. What is kept of
// tokens is for those that are good, not for all there ever were.
func TestExpiredTokensAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const programs, hours = 200, 24
		bed := newTestbed(t)
		for hour := range hours {
			for i := range programs {
				r := bed.bearerRequest(t.Context(), fmt.Sprint("g", hour, "-", i), person("1"))
				bed.warm(r.Header["Authorization"])
			}
			if n := bed.st.live.tokens.Len(); n > 3*programs {
				t.Fatalf("%d tokens are kept in hour %d, of which %d are good", n, hour, programs)
			}
			time.Sleep(time.Hour + time.Second)
		}
	})
}
