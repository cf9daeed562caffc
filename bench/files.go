// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"syscall"
)

// mostStreams is how many streams there can be of those that are wanted: a proxy needs
// one open file for each at the backend, and one for each connection of a client. The limit is raised for this process and those it starts,
// if it may be; if not, the report says so.
func mostStreams(want int, over protocol, report *report) (int, error) {
	const others = 500
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	files := func(streams int) int { return streams + (streams+over.perConn-1)/over.perConn + others }
	need := uint64(files(want))
	if limit.Max < need {
		raised := syscall.Rlimit{Cur: need, Max: need}
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
			limit.Max = need
		}
	}
	most := want
	for most > 0 && uint64(files(most)) > limit.Max {
		most--
	}
	if most < want {
		report.figure("streams there can be, "+over.name, fmt.Sprint(most), fmt.Sprint(want),
			fmt.Sprintf("a process may have %d open files here, and that cannot be raised", limit.Max))
	}
	return most, nil
}
