// SPDX-License-Identifier: Apache-2.0

package doctor

// Identifiers of the checks, in the order of the report.
const (
	checkConnect         = "connect"
	checkTLS             = "tls"
	checkScheme          = "https"
	checkAddress         = "address"
	checkClock           = "clock"
	checkUnauthenticated = "unauthenticated"
	checkMethods         = "methods"
	checkBadToken        = "bad-token"
	checkSlash           = "trailing-slash"
	checkChallenge       = "challenge"
	checkChallengeURL    = "challenge-metadata"
	checkChallengeError  = "challenge-error"
	checkChallengeScope  = "challenge-scope"
	checkPreflight       = "preflight"
	checkExposed         = "exposed-headers"
	checkMetadata        = "resource-metadata"
	checkRootMetadata    = "root-metadata"
	checkResourceForm    = "resource-metadata-form"
	checkResource        = "resource"
	checkSlashResource   = "slash-resource"
	checkServers         = "authorization-servers"
	checkServer          = "server-metadata"
	checkServerForm      = "server-metadata-form"
	checkIssuer          = "issuer"
	checkEndpoints       = "endpoints"
	checkPKCE            = "pkce"
	checkIss             = "iss-parameter"
	checkAuthMethods     = "client-authentication"
	checkRegistration    = "registration"
	checkWellKnown       = "other-well-knowns"
	checkMetadataCORS    = "metadata-cors"
	checkEndpointCORS    = "endpoint-cors"
	checkToken           = "token-errors"
	checkRegisterPublic  = "register-public"
	checkRegisterSecret  = "register-confidential"
)

// checkAll runs the checks that the observation has something for.
func checkAll(o *observation) []Check {
	checks := []Check{connectCheck(o)}
	if o.target.https() {
		checks = append(checks, tlsCheck(o))
	}
	checks = append(checks, schemeCheck(o), addressCheck(o))
	if o.first().Err != nil {
		return checks
	}
	for _, check := range []func(*observation) Check{
		clockCheck,
		unauthenticatedCheck, methodsCheck, badTokenCheck, slashCheck,
		challengeCheck, challengeURLCheck, challengeErrorCheck, challengeScopeCheck,
		preflightCheck, exposedCheck,
		metadataCheck, rootMetadataCheck, resourceFormCheck, resourceCheck, slashResourceCheck, serversCheck,
		serverCheck, serverFormCheck, issuerCheck, endpointsCheck, pkceCheck, issCheck, authMethodsCheck, registrationCheck,
		wellKnownCheck, metadataCORSCheck, endpointCORSCheck, tokenCheck,
	} {
		checks = append(checks, check(o))
	}
	return append(checks, registerChecks(o)...)
}

func pass(id, summary string) Check { return Check{ID: id, Status: Pass, Summary: summary} }

func skip(id, summary string) Check { return Check{ID: id, Status: Skip, Summary: summary} }

func warn(id, summary, mend string, evidence ...string) Check {
	return Check{ID: id, Status: Warn, Summary: summary, Mend: mend, Evidence: evidence}
}

func fail(id, summary, mend string, evidence ...string) Check {
	return Check{ID: id, Status: Fail, Summary: summary, Mend: mend, Evidence: evidence}
}

// seen are answers as evidence.
func seen(list ...*Exchange) []string {
	var out []string
	for _, e := range list {
		if e != nil {
			out = append(out, e.String())
		}
	}
	return out
}

// affecting names families a check matters to besides those whose walk finds it.
func (c Check) affecting(ids ...string) Check {
	c.Affects = append(c.Affects, ids...)
	return c
}
