// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"time"
)

func (s *soak) config() string {
	r := s.rig
	return fmt.Sprintf(`{`+commonOptions+`
	mcp_oauth {
		storage bolt %s
		github {
			client_id %s
			client_secret %s
			base_url %s
		}
		access_token_ttl %s
		refresh_grace %s
		recheck_upstream 1m
		limit registrations off
		limit authorizations off
		limit tokens off
	}
}

http://%s {
	mcp_gateway /mcp %s {
		allow org:acme
		name "Soak %d"
		transport http {
			keepalive 10s
		}
	}
}
`, r.gatewayAdmin, r.over.caddy, s.statePath, s.hub.ClientID(), s.hub.ClientSecret(), s.hubURL, s.accessTTL, soakGrace, r.gatewayAddr, r.backendAddr, s.reloads)
}

// soakGrace is how long a refresh token is answered again.
const soakGrace = 15 * time.Second

func (s *soak) startGateway() (err error) {
	s.rig.gateway, err = s.rig.startCaddy("gateway", s.rig.gatewayAddr, s.config())
	return err
}

// restart ends the gateway and starts it again over the same state. With kill it has
// no time to say good-bye. between is done while it is away.
func (s *soak) restart(kill bool, between func() error) error {
	s.gatewayMu.Lock()
	defer s.gatewayMu.Unlock()
	s.away.Add(1)
	defer s.away.Add(1)
	p := s.rig.gateway
	if kill {
		if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
			return err
		}
		<-p.done
	} else if err := p.stop(); err != nil {
		return err
	}
	s.rig.gateway = nil
	s.checkLog(p)
	if err := between(); err != nil {
		return err
	}
	return s.startGateway()
}

// checkLog looks at what a process wrote that has ended.
func (s *soak) checkLog(p *process) {
	for line := range strings.Lines(p.log.String()) {
		switch {
		case strings.Contains(line, "panic"), strings.Contains(line, "DATA RACE"), strings.Contains(line, "fatal error"):
			s.ledger.violation("the log says: %.300s", line)
		case strings.Contains(line, `"level":"error"`) && !strings.Contains(line, "nobody:knows"):
			var entry struct{ Msg, Error string }
			_ = json.Unmarshal([]byte(line), &entry) // empty says enough
			s.ledger.count(fmt.Sprintf("errors logged: %s, %.80s", entry.Msg, entry.Error))
		}
	}
}

const wrongRule = "allow nobody:knows"

// reload gives the gateway another configuration, every third time one that is wrong.
func (s *soak) reload() {
	s.gatewayMu.Lock()
	defer s.gatewayMu.Unlock()
	s.reloading.Add(1)
	defer s.reloading.Add(1)
	s.reloads++
	config := s.config()
	wrong := s.reloads%3 == 0
	if wrong {
		config = strings.Replace(config, "allow org:acme", wrongRule, 1)
	}
	switch err := loadConfig(s.rig.gatewayAdmin, config); {
	case wrong && err == nil:
		s.ledger.violation("a wrong configuration was loaded")
	case !wrong && err != nil:
		s.ledger.violation("%v", err)
	default:
		s.ledger.count("reloads")
	}
	if !wrong {
		s.reloaded.Store(time.Now().UnixNano())
	}
	time.Sleep(500 * time.Millisecond) // the servers that were replaced close after the answer
}
