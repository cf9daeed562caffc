// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVersions(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		info map[string]string
		good bool
	}{
		{map[string]string{"redis_version": "6.2.0"}, true},
		{map[string]string{"redis_version": "6.10.0"}, true},
		{map[string]string{"redis_version": "7.0.15"}, true},
		{map[string]string{"redis_version": "10.0.0"}, true},
		{map[string]string{"redis_version": "6.1.9"}, false},
		{map[string]string{"redis_version": "5.0.14"}, false},
		{map[string]string{"redis_version": "2.8"}, false},
		// Valkey answers the Redis version it is compatible with.
		{map[string]string{"redis_version": "7.2.4", "valkey_version": "8.0.1"}, true},
		// Some hosted servers and proxies do not tell.
		{nil, true},
		{map[string]string{"redis_version": "unknown"}, true},
	} {
		err := checkVersion(tc.info)
		if (err == nil) != tc.good {
			t.Errorf("%v: %v", tc.info, err)
		}
		if err != nil {
			if !errors.Is(err, ErrVersion) {
				t.Errorf("%v is not ErrVersion", err)
			}
			wantText(t, err.Error(), tc.info["redis_version"], "6.2")
		}
	}
}

func TestAudit(t *testing.T) {
	t.Parallel()
	type set = map[string]string
	safe := func(changes ...string) set {
		info := set{
			"redis_version": "7.0.15", "maxmemory": "0", "maxmemory_policy": "noeviction", "aof_enabled": "1",
			"aof_last_write_status": "ok", "rdb_last_bgsave_status": "ok", "connected_slaves": "0",
		}
		for i := 0; i < len(changes); i += 2 {
			info[changes[i]] = changes[i+1]
		}
		return info
	}
	always := set{"appendfsync": "always", "save": ""}
	for name, tc := range map[string]struct {
		info, settings set
		options        Options
		want           []string
	}{
		"nothing at risk":              {safe(), always, Options{}, nil},
		"fsync every second":           {safe(), set{"appendfsync": "everysec", "save": ""}, Options{}, []string{warnFsync}},
		"fsync some time":              {safe(), set{"appendfsync": "no", "save": "3600 1"}, Options{}, []string{warnFsync}},
		"CONFIG is forbidden":          {safe(), nil, Options{}, []string{warnFsyncUnknown}},
		"nothing persisted":            {safe("aof_enabled", "0"), set{"save": "", "appendfsync": "everysec"}, Options{}, []string{warnVolatile}},
		"snapshots":                    {safe("aof_enabled", "0"), set{"save": "3600 1 300 100", "appendfsync": "everysec"}, Options{}, []string{warnSnapshots}},
		"no file, CONFIG is forbidden": {safe("aof_enabled", "0"), nil, Options{}, []string{warnSnapshots}},
		"evicts anything":              {safe("maxmemory_policy", "allkeys-lru"), always, Options{}, []string{warnEvicts}},
		"evicts at random":             {safe("maxmemory_policy", "allkeys-random"), always, Options{}, []string{warnEvicts}},
		// What we store has no TTL.
		"evicts what has a TTL": {safe("maxmemory_policy", "volatile-lru"), always, Options{}, nil},
		"nothing is told":       {nil, nil, Options{}, []string{warnUnknown}},
		"persistence is hidden": {set{"redis_version": "7.0.0"}, nil, Options{}, []string{warnUnknown}},
		"a full disk":           {safe("aof_last_write_status", "err"), always, Options{}, []string{warnSaving}},
		"snapshots fail":        {safe("rdb_last_bgsave_status", "err"), always, Options{}, []string{warnSaving}},
		"a replica":             {safe("connected_slaves", "1"), always, Options{}, []string{warnAsync}},
		"a replica waited for":  {safe("connected_slaves", "1"), always, Options{Wait: Wait{Replicas: 1}}, nil},
		"sentinels":             {safe(), always, Options{SentinelMaster: "main"}, []string{warnAsync}},
		"a cluster":             {safe(), always, Options{Addresses: []string{"a", "b"}}, []string{warnAsync}},
		"all of it": {
			safe("maxmemory_policy", "allkeys-lfu", "aof_enabled", "0", "rdb_last_bgsave_status", "err", "connected_slaves", "2"),
			set{"save": ""},
			Options{},
			[]string{warnEvicts, warnVolatile, warnSaving, warnAsync},
		},
	} {
		var got []string
		for _, w := range audit(tc.info, tc.settings, tc.options) {
			got = append(got, w.text)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
