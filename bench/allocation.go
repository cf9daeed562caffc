// SPDX-License-Identifier: Apache-2.0

package main

import "fmt"

// allocation is what a process has allocated for its calls. Unlike time it is the same
// from run to run, and a part of the time is due to it: it is collected again.
type allocation struct{ objects, bytes, calls int64 }

func (a allocation) since(before allocation) allocation {
	return allocation{a.objects - before.objects, a.bytes - before.bytes, a.calls - before.calls}
}

// String is per call.
func (a allocation) String() string {
	n := max(a.calls, 1)
	return fmt.Sprintf("%d allocations of %.1f KB", (a.objects+n/2)/n, float64(a.bytes)/float64(n)/1000)
}

// allocatedBy asks each side for what it has allocated since it started.
func allocatedBy(sides []contender, loads [2]*load) (all [2]allocation, err error) {
	for i, c := range sides {
		stats, err := runtimeStats(c.admin)
		if err != nil {
			return all, err
		}
		all[i] = allocation{stats["Mallocs"], stats["TotalAlloc"], loads[i].serial.Load()}
	}
	return all, nil
}
