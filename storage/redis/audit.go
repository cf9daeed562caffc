// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"fmt"
	"strconv"
	"strings"
)

// Oldest version of Redis whose commands the scripts use: exclusive ranges of a stream and
// XTRIM MINID came with it. Valkey began later.
const (
	leastMajor = 6
	leastMinor = 2
)

// checkVersion refuses a server that is too old. One that does not say its version is
// taken: the commands are tried anyhow.
func checkVersion(info map[string]string) error {
	version, ok := info["redis_version"]
	if !ok || info["valkey_version"] != "" {
		return nil
	}
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	m, err1 := strconv.Atoi(major)
	n, err2 := strconv.Atoi(minor)
	if err1 != nil || err2 != nil {
		return nil //nolint:nilerr // see above
	}
	if m < leastMajor || m == leastMajor && n < leastMinor {
		return fmt.Errorf("%w: it is Redis %.20q; %d.%d or newer is needed, or Valkey", ErrVersion, version, leastMajor, leastMinor)
	}
	return nil
}

// warning is one thing that puts state at risk.
type warning struct {
	text  string
	attrs []any
}

// The warnings of Open. Each says what an operator loses, and how to keep it.
const (
	warnUnknown = "the server does not tell how it persists its data: this user may not read INFO or CONFIG; " +
		"make sure that it keeps an append-only file and evicts nothing"
	warnEvicts = "the server evicts any key when its memory is full: users are signed out and clients forgotten without a word; " +
		"set maxmemory-policy to noeviction"
	warnVolatile = "the server persists nothing: when it restarts, everybody is signed out and every client is forgotten; " +
		"set appendonly to yes"
	warnSnapshots = "the server saves snapshots only: a crash forgets everything since the last one, revocations included, " +
		"and every refresh token rotated since signs its user out; set appendonly to yes"
	warnFsync = "the server acknowledges writes before they are on disk: a crash of its machine forgets the last second or more, " +
		"revocations included, and a refresh token rotated then signs its user out; set appendfsync to always"
	warnFsyncUnknown = "the server does not tell whether writes are on disk when it acknowledges them, as CONFIG is forbidden here: " +
		"with appendfsync everysec, which is its default, a crash of its machine forgets the last second"
	warnSaving = "the server fails to write its data to disk; look into its log"
	warnAsync  = "replicas lag behind their primary: a failover can forget what was acknowledged just before, revocations included; " +
		"ask for confirmation by replicas with wait"
)

// audit compares what a server says of itself with what is needed to keep what is
// acknowledged. settings is nil where they cannot be read.
func audit(info, settings map[string]string, o Options) []warning {
	if len(info) == 0 {
		return []warning{{text: warnUnknown}}
	}
	var found []warning
	// Keys without a TTL, as all of ours, are safe from the volatile-* policies.
	if policy := info["maxmemory_policy"]; strings.HasPrefix(policy, "allkeys-") {
		found = append(found, warning{warnEvicts, []any{"maxmemory_policy", policy, "maxmemory", info["maxmemory"]}})
	}
	found = append(found, auditDisk(info, settings)...)
	replicated := o.SentinelMaster != "" || o.cluster() || info["connected_slaves"] != "" && info["connected_slaves"] != "0"
	if replicated && o.Wait.Replicas == 0 {
		found = append(found, warning{warnAsync, []any{"connected_replicas", info["connected_slaves"]}})
	}
	return found
}

func auditDisk(info, settings map[string]string) []warning {
	var found []warning
	appends, known := info["aof_enabled"]
	save, saveKnown := settings["save"]
	fsync, fsyncKnown := settings["appendfsync"]
	switch {
	case !known:
		found = append(found, warning{text: warnUnknown})
	case appends == "1" && !fsyncKnown:
		found = append(found, warning{text: warnFsyncUnknown})
	case appends == "1" && fsync != "always":
		found = append(found, warning{warnFsync, []any{"appendfsync", fsync}})
	case appends == "1":
	case saveKnown && save == "":
		found = append(found, warning{text: warnVolatile})
	default:
		found = append(found, warning{warnSnapshots, []any{"save", save}})
	}
	for _, status := range []string{"aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status"} {
		if v := info[status]; v != "" && v != "ok" {
			found = append(found, warning{warnSaving, []any{"status", status}})
		}
	}
	return found
}
