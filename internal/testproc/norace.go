// SPDX-License-Identifier: Apache-2.0

//go:build !race

package testproc

// RaceEnabled says whether the tests run with the race detector.
const RaceEnabled = false
