import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { didYouMean, environmentName, flagName } from '../../src/options/names.js';
import { optionsReference } from '../../src/options/reference.js';

test('docs/options.md is what the table says now (npm run docs writes it)', () => {
  assert.equal(readFileSync('docs/options.md', 'utf8'), optionsReference());
});

test('names for users follow from the name in code', () => {
  assert.equal(flagName('maxIterations'), '--max-iterations');
  assert.equal(environmentName('kHops'), 'NAAN_K_HOPS');
});

test('a suggestion is near or absent', () => {
  const known = ['threads', 'threshold', 'max-size'];
  assert.equal(didYouMean('thread', known), ' (did you mean threads?)');
  assert.equal(didYouMean('treshold', known), ' (did you mean threshold?)');
  assert.equal(didYouMean('max_size', known), ' (did you mean max-size?)');
  assert.equal(didYouMean('output', known), '');
});
