// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package testredis

import "os"

var freezeSignal, thawSignal os.Signal
