// SPDX-License-Identifier: Apache-2.0

// How the script and the test talk: one JSON object a line, events out on
// stdout, commands in on stdin.

import { createInterface } from 'node:readline';

export function emit(event) {
	process.stdout.write(JSON.stringify(event) + '\n');
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

// nextCommand waits for the test.
export async function nextCommand() {
	const { value, done } = await lines.next();
	return done ? { command: 'end' } : JSON.parse(value);
}
