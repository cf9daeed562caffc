// SPDX-License-Identifier: Apache-2.0

package testredis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Option changes a server before it starts.
type Option func(*options)

type options struct {
	binary    string
	unix      bool
	cluster   bool
	eager     bool
	settings  []string
	tls       *authority
	clientTLS *tls.Config
	primary   *Server
	watched   *Server
}

// Set adds a line of redis.conf: its name and value.
func Set(name, value string) Option {
	return func(o *options) { o.settings = append(o.settings, "--"+name, value) }
}

// AppendOnly keeps an append-only file with that fsync: always, everysec or no.
func AppendOnly(fsync string) Option {
	return func(o *options) {
		o.settings = append(o.settings, "--appendonly", "yes", "--appendfsync", fsync)
	}
}

// Unix listens on a unix socket and on no port.
func Unix() Option { return func(o *options) { o.unix = true } }

// Cluster makes a cluster of this one node, with all slots.
func Cluster() Option { return func(o *options) { o.cluster = true } }

// ReplicaOf follows another server. Start returns when it has its data.
func ReplicaOf(primary *Server) Option { return func(o *options) { o.primary = primary } }

// Eager does not wait for an answer: a server may be started that is still loading.
func Eager() Option { return func(o *options) { o.eager = true } }

// SentinelName is what a sentinel of Sentinel calls the primary it watches.
const SentinelName = "main"

// Sentinel watches another server and has a replica of it take over soon after it is gone.
// It is alone, and so decides alone.
func Sentinel(primary *Server) Option { return func(o *options) { o.watched = primary } }

// sentinelArguments are the command line of a sentinel, which wants a file it can write to.
func (s *Server) sentinelArguments() ([]string, error) {
	host, port, err := net.SplitHostPort(s.opts.watched.addr)
	if err != nil {
		return nil, err
	}
	_, own, err := net.SplitHostPort(s.addr)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(s.dir, "sentinel.conf")
	lines := fmt.Sprintf("bind 127.0.0.1\nport %[1]s\ndir %[2]s\nsentinel monitor %[3]s %[4]s %[5]s 1\n"+
		"sentinel down-after-milliseconds %[3]s 500\nsentinel failover-timeout %[3]s 3000\n", own, s.dir, SentinelName, host, port)
	return []string{file, "--sentinel"}, os.WriteFile(file, []byte(lines), 0o600)
}

// arguments are the command line: first what every test server gets.
func (s *Server) arguments() ([]string, error) {
	if s.opts.watched != nil {
		return s.sentinelArguments()
	}
	args := []string{"--dir", s.dir, "--save", "", "--daemonize", "no", "--databases", "16", "--shutdown-timeout", "0"}
	switch {
	case s.opts.unix:
		args = append(args, "--port", "0", "--unixsocket", s.addr, "--unixsocketperm", "700")
	default:
		host, port, err := net.SplitHostPort(s.addr)
		if err != nil {
			return nil, err
		}
		args = append(args, "--bind", host)
		if s.opts.tls == nil {
			args = append(args, "--port", port)
			break
		}
		files, err := s.opts.tls.write(s.dir)
		if err != nil {
			return nil, err
		}
		args = append(append(args, "--port", "0", "--tls-port", port, "--tls-auth-clients", "no"), files...)
	}
	if s.opts.cluster {
		args = append(args, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf")
	}
	if p := s.opts.primary; p != nil {
		host, port, err := net.SplitHostPort(p.addr)
		if err != nil {
			return nil, err
		}
		args = append(args, "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")
	}
	return append(args, s.opts.settings...), nil
}

// settle waits until a server that answers is what its options make it.
func (s *Server) settle(ctx context.Context) error {
	if s.opts.cluster {
		if err := s.settleCluster(ctx); err != nil {
			return err
		}
	}
	if s.opts.primary != nil {
		return s.until(ctx, "replication", "master_link_status:up")
	}
	return nil
}

func (s *Server) settleCluster(ctx context.Context) error {
	state, err := s.client.ClusterInfo(ctx).Result()
	if err != nil {
		return err
	}
	if strings.Contains(state, "cluster_slots_assigned:0") {
		if err := s.client.ClusterAddSlotsRange(ctx, 0, 16383).Err(); err != nil {
			return err
		}
	}
	for {
		state, err := s.client.ClusterInfo(ctx).Result()
		if err != nil || strings.Contains(state, "cluster_state:ok") {
			return err
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("the cluster does not settle: %w", err)
		}
	}
}

// until waits for a line in a section of INFO.
func (s *Server) until(ctx context.Context, section, line string) error {
	for {
		info, err := s.client.Info(ctx, section).Result()
		if err != nil || strings.Contains(info, line) {
			return err
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("%s does not come: %w", line, err)
		}
	}
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return errors.New("the time is up")
	case <-time.After(10 * time.Millisecond):
		return nil
	}
}
