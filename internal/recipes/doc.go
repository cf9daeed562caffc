// SPDX-License-Identifier: Apache-2.0

// Package recipes tests examples/verify-assertion: the recipes by which backends verify
// identity assertions, each as the program it is, against a real gateway. They must
// accept what the gateway signs for them and nothing else.
package recipes
