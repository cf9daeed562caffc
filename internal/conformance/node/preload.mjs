// SPDX-License-Identifier: Apache-2.0
//
// Lets the conformance suite start on Node.js 20. It imports fs.globSync, which came
// with Node.js 22, for a command that is not used here; there an import of a
// missing name keeps the whole program from starting.
import * as fs from 'node:fs';
import { register } from 'node:module';

if (!fs.globSync) {
	register('./resolve.mjs', import.meta.url);
}
