// SPDX-License-Identifier: Apache-2.0

// Verifies the identity assertion that caddy-mcp-oauth sends to the MCP servers behind
// it. Copy this file: it needs jose and nothing else.

import { createRemoteJWKSet, errors, jwtVerify } from 'jose';

export const HEADER = 'x-mcp-jwt-assertion';
const TYPE = 'mcp-identity+jwt';

/** What an assertion says of who calls. */
export interface Claims {
	/** Who it is, for ever: keep data under it. */
	sub: string;
	/** These may change, and may belong to somebody else later. */
	preferred_username?: string;
	email?: string;
	groups?: string[];
	/** There are more groups than were sent. */
	groups_truncated?: boolean;
	client_id?: string;
	scope?: string;
}

/** The assertion must not be trusted. The cause is for the log. */
export class InvalidAssertion extends Error {}

// What jose throws for a token that is not good. Everything else it throws is about
// fetching the keys.
const refusals = [
	errors.JOSEAlgNotAllowed,
	errors.JOSENotSupported,
	errors.JWKSMultipleMatchingKeys,
	errors.JWKSNoMatchingKey,
	errors.JWSInvalid,
	errors.JWSSignatureVerificationFailed,
	errors.JWTClaimValidationFailed,
	errors.JWTExpired,
	errors.JWTInvalid,
];

/**
 * Returns a function that checks assertions of one gateway for one MCP server.
 *
 * issuer is the origin of the gateway's site, resource the URL by which clients know
 * this server, jwksUrl where the keys are as seen from here. The function throws
 * InvalidAssertion; anything else it throws means that the keys could not be fetched,
 * so that nothing is known: answer 503.
 */
export function assertionVerifier(issuer: string, resource: string, jwksUrl = `${issuer}/jwks`) {
	const keys = createRemoteJWKSet(new URL(jwksUrl), {
		cacheMaxAge: 300_000, // as the gateway allows
		cooldownDuration: 10_000, // between two fetches for a key that is not known
		timeoutDuration: 5_000,
	});
	return async (assertion: string | string[] | undefined): Promise<Claims> => {
		if (typeof assertion !== 'string') {
			throw new InvalidAssertion('one assertion is needed');
		}
		try {
			const { payload } = await jwtVerify(assertion, keys, {
				// This list is what keeps "none", and the public key as an HMAC secret, from
				// being accepted.
				algorithms: ['ES256'],
				typ: TYPE,
				issuer,
				audience: resource,
				clockTolerance: 60,
				maxTokenAge: 300, // without it a time of issue in the future would pass
				requiredClaims: ['sub', 'exp', 'iat'],
			});
			if (typeof payload.sub !== 'string' || payload.sub === '') {
				throw new InvalidAssertion('sub is no text');
			}
			return payload as unknown as Claims;
		} catch (err) {
			if (refusals.some((refusal) => err instanceof refusal)) {
				throw new InvalidAssertion('the identity assertion is not valid', { cause: err });
			}
			throw err;
		}
	};
}
