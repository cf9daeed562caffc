// SPDX-License-Identifier: Apache-2.0

//go:build unix

package testredis

import (
	"os"
	"syscall"
)

var freezeSignal, thawSignal os.Signal = syscall.SIGSTOP, syscall.SIGCONT
