import { writeFileSync } from 'node:fs';
import { manualPage } from '../src/options/manual.js';
import { optionsReference } from '../src/options/reference.js';

writeFileSync('docs/options.md', optionsReference());
writeFileSync('docs/naan.1', manualPage());
