// SPDX-License-Identifier: Apache-2.0

// The story every client goes through: refused, signed in, served, expired,
// refreshed, served again. sdk holds what differs between the SDK's majors:
// newClient(), newTransport(url, provider), isUnauthorized(err) and
// finishAuth(transport, params).

import { listenForCallback, Provider } from './provider.mjs';
import { emit, nextCommand } from './wire.mjs';

export async function play(sdk, url) {
	const redirect = await listenForCallback();
	const provider = new Provider(redirect.url);
	try {
		const client = await signIn(sdk, url, provider, redirect.callback);
		const { tools } = await client.listTools();
		emit({ event: 'tools', names: tools.map((tool) => tool.name) });
		await call(client, 'first');
		for (let next = await nextCommand(); next.command !== 'end'; next = await nextCommand()) {
			if (next.command === 'expire') {
				await untilExpired(url, provider.tokens().access_token);
			}
			await call(client, next.command);
		}
		emit({ event: 'done', ...summary(provider) });
		await client.close();
	} finally {
		redirect.close();
	}
}

// signIn connects twice, as the SDK asks: the first attempt ends at the browser.
async function signIn(sdk, url, provider, callback) {
	const first = sdk.newTransport(url, provider);
	try {
		await sdk.newClient().connect(first);
		throw new Error('connected without a token');
	} catch (err) {
		if (!sdk.isUnauthorized(err)) throw err;
	}
	const params = await callback;
	if (params.get('error')) throw new Error(`refused: ${params.get('error')}`);
	if (params.get('state') !== provider.state_) throw new Error('state does not match');
	await sdk.finishAuth(first, params);
	const client = sdk.newClient();
	await client.connect(sdk.newTransport(url, provider));
	return client;
}

async function call(client, step) {
	const result = await client.callTool({ name: 'whoami', arguments: {} });
	emit({ event: 'whoami', step, identity: JSON.parse(result.content[0].text) });
}

// untilExpired polls, because only the gateway knows when a token has expired.
async function untilExpired(url, token) {
	for (let i = 0; i < 300; i++) {
		const response = await fetch(url, {
			method: 'POST',
			headers: {
				authorization: `Bearer ${token}`,
				'content-type': 'application/json',
				accept: 'application/json, text/event-stream',
			},
			body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }),
		});
		await response.body?.cancel();
		if (response.status === 401) return;
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
	throw new Error('the access token does not expire');
}

// summary says what a test wants to know without telling a token.
function summary(provider) {
	const sets = provider.saved;
	const distinct = (field) => new Set(sets.map((set) => set[field])).size;
	return {
		authorizations: provider.authorizations,
		tokenSets: sets.length,
		accessTokens: distinct('access_token'),
		refreshTokens: distinct('refresh_token'),
	};
}
