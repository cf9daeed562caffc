// SPDX-License-Identifier: Apache-2.0

// TypeScript SDK 1.x, the client in most programs of today.
// Arguments: the MCP URL, and "sse" for the legacy transport.

import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

import { play } from './story.mjs';

const [url, transport] = process.argv.slice(2);
const Transport = transport === 'sse' ? SSEClientTransport : StreamableHTTPClientTransport;

await play(
	{
		newClient: () => new Client({ name: 'e2e-v1', version: '1.0.0' }),
		newTransport: (target, authProvider) => new Transport(new URL(target), { authProvider }),
		isUnauthorized: (err) => err instanceof UnauthorizedError,
		finishAuth: (t, params) => t.finishAuth(params.get('code')),
	},
	url,
);
