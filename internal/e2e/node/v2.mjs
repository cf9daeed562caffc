// SPDX-License-Identifier: Apache-2.0

// TypeScript SDK 2.x. It checks the issuer of the response (RFC 9207).
// Arguments: the MCP URL, and "modern" to speak revision 2026-07-28.

import { Client, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';

import { play } from './story.mjs';

const [url, era] = process.argv.slice(2);
const versionNegotiation = { mode: era === 'modern' ? 'auto' : 'legacy' };

await play(
	{
		newClient: () => new Client({ name: 'e2e-v2', version: '1.0.0' }, { versionNegotiation }),
		newTransport: (target, authProvider) =>
			new StreamableHTTPClientTransport(new URL(target), { authProvider }),
		isUnauthorized: (err) => err instanceof UnauthorizedError,
		finishAuth: (t, params) => t.finishAuth(params),
	},
	url,
);
