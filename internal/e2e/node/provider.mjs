// SPDX-License-Identifier: Apache-2.0

// The part of an MCP client that its author writes: where the SDK's OAuth code
// keeps its things, and how it opens a browser. Everything else is the SDK's.

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

import { emit } from './wire.mjs';

export class Provider {
	#redirectUrl;
	#client;
	#tokens;
	#verifier;
	#discovery;
	state_;
	// Counts how often a person was asked to sign in, and every token set.
	authorizations = 0;
	saved = [];

	constructor(redirectUrl) {
		this.#redirectUrl = redirectUrl;
	}

	get redirectUrl() {
		return this.#redirectUrl;
	}

	get clientMetadata() {
		return {
			client_name: 'End-to-end test',
			redirect_uris: [this.#redirectUrl],
			grant_types: ['authorization_code', 'refresh_token'],
			response_types: ['code'],
			token_endpoint_auth_method: 'none',
		};
	}

	state() {
		this.state_ = randomUUID();
		return this.state_;
	}

	clientInformation() {
		return this.#client;
	}

	saveClientInformation(client) {
		this.#client = client;
	}

	tokens() {
		return this.#tokens;
	}

	saveTokens(tokens) {
		this.#tokens = tokens;
		this.saved.push(tokens);
	}

	redirectToAuthorization(url) {
		this.authorizations++;
		emit({ event: 'authorize', url: url.href });
	}

	saveCodeVerifier(verifier) {
		this.#verifier = verifier;
	}

	codeVerifier() {
		return this.#verifier;
	}

	saveDiscoveryState(state) {
		this.#discovery = state;
	}

	discoveryState() {
		return this.#discovery;
	}
}

// listenForCallback opens the client's loopback redirect URI. callback resolves
// with the parameters the browser brings.
export async function listenForCallback() {
	let arrived;
	const callback = new Promise((resolve) => (arrived = resolve));
	const server = createServer((req, res) => {
		const url = new URL(req.url, 'http://127.0.0.1');
		if (url.pathname !== '/callback') {
			res.writeHead(404).end();
			return;
		}
		res.writeHead(200, { 'content-type': 'text/plain', connection: 'close' }).end('signed in\n');
		arrived(url.searchParams);
	});
	await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	return {
		url: `http://127.0.0.1:${server.address().port}/callback`,
		callback,
		close: () => server.close(),
	};
}
