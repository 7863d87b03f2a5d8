/** An option has one name in code (`maxSize`) and three for users: `--max-size`, `NAAN_MAX_SIZE`, `max-size:` in YAML. */

export function keyName(option: string): string {
  return option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

export function flagName(option: string): string {
  return `--${keyName(option)}`;
}

export const environmentPrefix = 'NAAN_';

export function environmentName(option: string): string {
  return environmentPrefix + keyName(option).replaceAll('-', '_').toUpperCase();
}

/** No option has a name near as long as this. */
const longestGuessed = 100;

/** ` (did you mean max-size?)` when a known name is near enough, otherwise nothing. */
export function didYouMean(name: string, known: Iterable<string>): string {
  if (name.length > longestGuessed) return '';
  let nearest = '';
  let least = Math.max(2, Math.floor(name.length * 0.4)) + 1;
  for (const candidate of known) {
    const distance = editDistance(plain(name), plain(candidate));
    if (distance < least) {
      least = distance;
      nearest = candidate;
    }
  }
  return nearest ? ` (did you mean ${nearest}?)` : '';
}

/** maxSize, max_size and max-size differ in nothing that matters for a guess. */
function plain(name: string): string {
  return name.toLowerCase().replace(/[-_]/g, '');
}

/** Levenshtein distance by rows. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitute = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitute, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}

/** Shells that `naan completion` knows. */
export const shells = ['bash', 'zsh', 'fish'] as const;
