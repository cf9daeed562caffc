// SPDX-License-Identifier: Apache-2.0
export * from 'node:fs';

export function globSync() {
	throw new Error('fs.globSync needs Node.js 22');
}
