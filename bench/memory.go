// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// memory is what a process holds once its garbage is collected, in bytes.
type memory struct {
	// heap and stacks are what is in use of them.
	heap, stacks int64
	// resident is what the operating system counts. It has garbage in it that was
	// collected and not given back yet.
	resident int64
}

// inUse is what cannot be given back.
func (m memory) inUse() int64 { return m.heap + m.stacks }

func (m memory) less(before memory) memory {
	return memory{m.heap - before.heap, m.stacks - before.stacks, m.resident - before.resident}
}

// settled collects the garbage of a Caddy and looks at what is left. Twice: what has a
// finalizer, or waits in a pool, goes the second time.
func settled(p *process, admin string) (memory, error) {
	var m memory
	for range 2 {
		stats, err := runtimeStats(admin)
		if err != nil {
			return memory{}, err
		}
		m.heap, m.stacks = stats["HeapInuse"], stats["Stack"]
	}
	var err error
	m.resident, _, err = p.memory()
	return m, err
}

// runtimeStats reads the lines "# Name = value" at the end of a heap profile in text,
// after a collection.
func runtimeStats(admin string) (map[string]int64, error) {
	stats := map[string]int64{}
	err := adminLines(admin, "/debug/pprof/heap?gc=1&debug=1", func(line string) {
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "# "), " = ")
		if !ok || !strings.HasPrefix(line, "# ") {
			return
		}
		value, _, _ = strings.Cut(value, " / ") // "Stack = in use / from the system"
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			stats[name] = n
		}
	})
	if err == nil && (stats["HeapInuse"] == 0 || stats["Stack"] == 0) {
		err = errors.New("the heap profile says nothing of the memory in use")
	}
	return stats, err
}

// adminLines reads an answer of the admin API line by line.
func adminLines(admin, path string, each func(line string)) error {
	resp, err := http.Get("http://" + admin + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		each(lines.Text())
	}
	if err := lines.Err(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
