// SPDX-License-Identifier: Apache-2.0

package testidp

import "net/http"

// httptest's servers close the idle connections of http.DefaultTransport when they
// end, under the requests of tests that run beside. A transport of another type is
// left alone.
func init() { http.DefaultTransport = struct{ http.RoundTripper }{http.DefaultTransport} }
