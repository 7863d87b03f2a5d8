import { writeFileSync } from 'node:fs';
import { optionsReference } from '../src/options/reference.js';

writeFileSync('docs/options.md', optionsReference());
