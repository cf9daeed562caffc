// SPDX-License-Identifier: Apache-2.0

// A server that believes nobody but its gateway, and tells people who they are. ISSUER
// and RESOURCE say what it expects in an assertion, JWKS_URL where the keys are if that
// is not ISSUER/jwks, PORT where to listen on loopback.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { HEADER, InvalidAssertion, assertionVerifier } from './verifyAssertion.js';

const { ISSUER, RESOURCE, JWKS_URL, PORT } = process.env;
if (!ISSUER || !RESOURCE) {
	throw new Error('set ISSUER and RESOURCE');
}
const verify = assertionVerifier(ISSUER, RESOURCE, JWKS_URL);

const server = createServer(async (req, res) => {
	let [status, body]: [number, unknown] = [200, undefined];
	try {
		// Two headers of one name arrive joined with a comma, which no assertion contains.
		body = await verify(req.headers[HEADER]);
	} catch (err) {
		const refused = err instanceof InvalidAssertion;
		status = refused ? 401 : 503;
		body = { error: refused ? 'the identity assertion is not valid' : 'the keys of the gateway cannot be fetched' };
		console.error(refused ? 'request refused:' : 'assertions cannot be verified:', err);
	}
	res.writeHead(status, { 'Content-Type': 'application/json' });
	res.end(JSON.stringify(body));
});
server.listen(Number(PORT ?? 0), '127.0.0.1', () => {
	console.log(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
