import { readFileSync } from 'node:fs';

/** The version in package.json, the one place that holds it. Two folders up from dist/src. */
export const version: string = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;
