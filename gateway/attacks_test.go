// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// attacks is what the authorization server's endpoints must withstand, where each
// is described, and the test that tries it. RFC 9700 is the security BCP, O21
// OAuth 2.1 draft 13, R… the MCP requirements as numbered in this project, C the
// recorded behaviour of clients.
//
// The list was written before the tests. A line without a test fails below.
var attacks = []struct{ attack, source, test string }{
	// Codes.
	{"stolen code, no verifier", "O21 7.5.3, R7.4", "TestStolenCodeWithoutVerifier"},
	{"attacker's code put into a victim's client", "RFC 9700 4.5", "TestInjectedCode"},
	{"attacker's upstream code put into a victim's callback", "RFC 9700 4.5", "TestCodeOfGitHubInjected"},
	{"replay with everything right", "RFC 6749 4.1.2", "TestReplayedCodeRevokesTheGrant"},
	{"replay used to log somebody else out", "O21 4.1.3", "TestReplayRevokesOnlyItsOwnGrant"},
	{"one code redeemed 64 times at once", "O21 4.1.2", "TestCodeRace"},
	{"code of client A redeemed by B", "RFC 9700 4.4, R7.4", "TestCodeOfAnotherClient"},
	{"code of issuer A redeemed at B", "RFC 9700 4.4", "TestCodeAtAnotherIssuer"},
	{"old code", "R5.12", "TestCodeExpires"},
	{"code after the policy or the resource changed", "M-34", "TestCodeAfterTheWorldChanged"},
	// The authorization request.
	{"PKCE left out, plain, misspelt", "O21 7.5.2, R5.3", "TestAuthorizeErrorsAreNoOpenRedirector"},
	{"redirect to another address", "RFC 9700 4.1, R5.6", "TestRedirectManipulationAtAuthorize"},
	{"redirect_uri changed at the token endpoint", "R7.4", "TestTokenErrors"},
	{"open redirector by way of errors", "RFC 9700 4.11.2, O21 7.12.2", "TestAuthorizeErrorsAreNoOpenRedirector"},
	{"repeated parameters", "O21 3.1, R5.1", "TestAuthorizeNeedsAKnownClient"},
	{"response parameters forged through state", "R5.5", "TestStateComesBackByteForByte"},
	{"response with iss or state missing or twice", "RFC 9207, R5.5", "TestAuthorizeErrorsAreNoOpenRedirector"},
	{"audience of another resource", "RFC 8707, R7.5", "TestResourceAtTheTokenEndpoint"},
	{"store filled through /authorize", "ADR 0003", "TestAuthorizeStoresNothingAndIsLimited"},
	{"store filled through one consent form", "ADR 0003", "TestApprovalsAreLimited"},
	// Consent.
	{"consent skipped or forged by another site", "BP Confused Deputy, R6.2", "TestConsentForgery"},
	{"approval by a link or a prefetch", "R6.2", "TestConsentByGet"},
	{"form of another issuer", "R6.3", "TestConsentFormOfAnotherIssuer"},
	{"old form", "R6.4", "TestConsentExpires"},
	{"client or resource changed behind the page", "M-34", "TestConsentAfterTheWorldChanged"},
	{"upstream state before approval", "R6.4", "TestConsentPageSaysWhatIsDecided"},
	{"markup and lies in a client's name", "M-28", "TestConsentPageSaysWhatIsDecided"},
	{"double click, back button", "C 20", "TestDoubleApprovalAndBackButton"},
	{"tabs that cross", "C 20", "TestTwoTabs"},
	{"clients that cross", "17.3", "TestParallelSignIns"},
	{"denial used as a redirector", "R5.8", "TestDenial"},
	// Sign-in.
	{"login CSRF, session fixation", "RFC 9700 4.7, R6.4", "TestCallbackInAnotherBrowser"},
	{"login CSRF with a password", "M-32", "TestSignInForgery"},
	{"callback replayed", "R6.4", "TestCallbackIsGoodOnce"},
	{"callback replayed at once", "R6.4", "TestParallelCallbacks"},
	{"upstream mix-up", "RFC 9700 4.4, M-19", "TestCallbackAtAnotherUpstreamsPath"},
	{"answer of a foreign issuer", "RFC 9207", "TestGitHubTroubles"},
	{"somebody who is not on the list", "M-18", "TestNotAllowedUserGetsNoCode"},
	{"recycled login", "security 1.8", "TestSubjectIsTheNumber"},
	{"guessing passwords", "security 1.14", "TestLocalSignIn"},
	{"names found out by guessing", "M-45", "TestLocalSignIn"},
	{"upstream refusals taken for a pass", "security 1.12", "TestUpstreamRefusals"},
	{"cookies planted by a sibling host", "RFC 6265bis 4.1.3", "TestCookiesOnHTTPS"},
	{"cookies of another port", "design 7", "TestCookiesOnLoopback"},
	// Sessions and remembered consents.
	{"session fixation by a planted session", "M-32", "TestSessionFixation"},
	{"session cookie made up, doubled, of another port", "M-32", "TestForgedSession"},
	{"session of another issuer", "design 7", "TestSessionOfAnotherIssuer"},
	{"session that never ends", "M-32", "TestSessionEnds"},
	{"session used after the sign-out", "M-32", "TestSignOut"},
	{"signed out by another site", "M-32", "TestSignOutForgery"},
	{"sign-out of another issuer", "design 7", "TestSignOutAtAnotherIssuer"},
	{"session of somebody who was removed since", "M-18", "TestSessionAfterTheWorldChanged"},
	{"approval in the name of who signed in since", "M-32", "TestApprovalIsForWhomThePageNamed"},
	{"session cookie seen or set by the backend", "design 4.13", "TestBackendHasNoPartInSessions"},
	{"silent authorization from another site, a frame, a script", "M-31", "TestSilentAuthorization"},
	{"remembered consent stretched to another decision", "R6.3, M-31", "TestRememberedIsExact"},
	{"client that takes another name after consent", "M-31, M-34", "TestRememberedClientChanged"},
	{"client that changes during the sign-in", "M-34", "TestClientChangedDuringTheSignIn"},
	{"remembered consent of another account", "M-31", "TestRememberedForAnotherAccount"},
	{"remembered consent of another issuer", "design 10", "TestRememberedAtAnotherIssuer"},
	{"consent remembered for a port or a scheme", "M-29, M-30", "TestLoopbackAndPrivateUseAreNeverRemembered"},
	{"signed in or not, asked by anybody", "OIDC 3.1.2.6", "TestPromptNone"},
	{"one session in many tabs at once", "17.3", "TestParallelAuthorizationsOfOneSession"},
	{"grants piled up with one session", "ADR 0003", "TestApprovalsOfASessionAreLimited"},
	// Tokens.
	{"client without its secret", "R7.3, M-05", "TestClientAuthentication"},
	{"content type confusion", "M-23", "TestTokenContentTypeConfusion"},
	{"guessing at the token endpoint", "O21 2.4.1", "TestTokenFailuresAreLimited"},
	{"stolen refresh token, client first", "O21 4.3.1, R7.7", "TestStolenRefreshTokenIsNoticed"},
	{"stolen refresh token, thief first", "O21 4.3.1, R7.7", "TestThiefComesFirst"},
	{"honest parallel refresh taken for theft", "C 3", "TestParallelRefresh"},
	{"honest repeat taken for theft", "C 3", "TestLostAnswer"},
	{"forged refresh token to log somebody out", "ADR 0004", "TestForgedRefreshTokenTouchesNothing"},
	{"refresh token at another client", "R7.7", "TestRefreshByAnotherClient"},
	{"more scope by refreshing", "R7.9", "TestScopesAtRefresh"},
	{"more time by refreshing", "R7.7", "TestRefreshLifeSlides"},
	{"access token that outlives its grant", "R7.6", "TestAccessTokenEndsWithTheGrant"},
	{"refresh after the list changed", "M-18", "TestRefreshWhileNotAllowed"},
	{"clock steps", "M-08", "TestRefreshWithTheClockSetBack"},
	{"key rotation in the middle", "M-09", "TestRefreshAcrossAKeyRotation"},
	// Registration and discovery.
	{"dangerous redirect schemes", "R4.19", "TestRefusedRegistrations"},
	{"registration flood", "R4.20", "TestRegistrationLimits"},
	{"registration that was switched off", "M-37", "TestRegistrationOff"},
	{"initial access token guessed", "M-37", "TestRegistrationWithInitialAccessToken"},
	{"clients pushed out by a flood", "R4.20", "TestRegistrationWhenFull"},
	{"metadata poisoned by Host", "R1.2", "TestMetadataIgnoresHostAndForwardingHeaders"},
	{"pages read by other sites", "O21 3.1, R12.1", "TestMethodsAndCORS"},
	// Revocation, introspection, registrations of one's own.
	{"tokens of another client revoked", "RFC 7009 2.1", "TestRevocationByAnotherClient"},
	{"revocation as an oracle", "RFC 7009 2.2", "TestRevocationOfUselessTokens"},
	{"old token found in a log", "RFC 7009 2.1", "TestExpiredAccessTokenRevokesNothing"},
	{"revoked token used on", "R7.10", "TestRevocationEndsTheGrant"},
	{"stream that outlives its grant", "M-17", "TestRevocationEndsOpenStreams"},
	{"users found out by introspection", "RFC 7662 4", "TestIntrospectionOfOtherTokens"},
	{"introspection without a secret", "RFC 7662 2.1", "TestIntrospectionRequests"},
	{"introspection that the guard disagrees with", "RFC 7662 4", "TestInactiveTokens"},
	{"registration of another client", "RFC 7592 2.1", "TestRegistrationOfSomebodyElse"},
	{"redirect URIs swapped under a consent", "RFC 7592 2.2", "TestRegistrationCannotBeChanged"},
	{"client deleted in the middle of a sign-in", "RFC 7592 2.3", "TestClientDeletedDuringASignIn"},
	{"redirects to ourselves", "RFC 9700 4.11", "TestRedirectsToOurselvesAreRefused"},
	{"redirects to ourselves by a free port", "RFC 8252 7.3", "TestRedirectsToOurselvesOnLoopback"},
	{"registration bodies tried for free", "R4.20", "TestRefusedRegistrationsAreLimited"},
	{"odd revocations and introspections", "M-41", "FuzzRevokeAndIntrospect"},
	{"odd registration requests", "M-41", "FuzzManageRegistration"},
	// Sessions of the legacy transport.
	{"legacy session of somebody else", "R10.23", "TestLegacySessionOfSomebodyElse"},
	{"one proof for another session", "R10.23", "TestLegacyProofIsForOneURI"},
	{"session id in disguise", "R10.23", "TestSessionParameterInDisguise"},
	{"endpoint that leads elsewhere", "R10.23", "TestLegacyEndpointsThatAreNotBound"},
	// Clients that describe themselves, and clients that sign.
	{"looking around in the network through client ids", "BP SSRF, R4.6", "TestProbingThroughClientIDs"},
	{"client id that two readers read differently", "R4.2, M-33", "TestDeceptiveClientURLs"},
	{"document of somebody else, redirected, endless, secret", "R4.3, R4.5, R4.9", "TestUnusableDocuments"},
	{"document that changes behind the page", "M-34, R4.12", "TestDocumentChangesBehindThePage"},
	{"requests aimed at somebody through client ids", "R4.6", "TestDocumentFloodFromOneAddress"},
	{"document stampede", "R4.7", "TestDocumentIsFetchedOnce"},
	{"outage that signs everybody out", "R4.8", "TestOutageOfThePublisher"},
	{"operator's list of publishers evaded", "R4.11", "TestDocumentPolicy"},
	{"configured client taken over by a document", "R4.1", "TestConfiguredClientBeatsItsDocument"},
	{"redirector by way of a configured client", "R5.8", "TestErrorsOfConfiguredClientsRedirect"},
	{"assertion forged, borrowed, for another server", "RFC 7523 3, M-36", "TestForgedAssertions"},
	{"assertion used again, 64 times at once", "RFC 7523 3, M-36", "TestReplayedAssertion"},
	{"assertion of a client that does not sign", "R7.3", "TestAssertionOfAnotherKindOfClient"},
	{"keys fetched in a storm", "M-09", "TestKeyRotationOfAClient"},
	// Everywhere.
	{"store that fails", "M-11", "TestStoreFailures"},
	{"secrets in logs and at rest", "R7.11, M-12, M-40", "TestNoSecretIsWrittenDown"},
	{"bug in a handler", "M-41", "TestPanicInAnEndpoint"},
	{"odd queries", "M-41", "FuzzAuthorize"},
	{"odd forms", "M-41", "FuzzConsent"},
	{"odd callbacks", "M-41", "FuzzCallback"},
	{"odd token requests", "M-41", "FuzzToken"},
	{"odd registrations", "M-41", "FuzzRegister"},
}

func TestEveryAttackIsTried(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && (strings.HasPrefix(fn.Name.Name, "Test") || strings.HasPrefix(fn.Name.Name, "Fuzz")) {
				tests[fn.Name.Name] = true
			}
		}
	}
	for _, a := range attacks {
		if !tests[a.test] {
			t.Errorf("%s (%s): there is no %s", a.attack, a.source, a.test)
		}
	}
}
