/** JSON in files that nobody vouches for. */

/** Nothing that naan reads nests more than a few levels; what nests without end would exhaust the stack of whoever walks it. */
const maxLevels = 64;
/** Lists, objects and members of objects: each takes so much more memory than text that a file of some MiB would exhaust that of V8. */
const maxParts = 2 ** 21;

/** The value of a text; undefined when that is no JSON, or has more levels or parts than anything here needs. */
export function parseJson(text: string): unknown {
  if (!isBounded(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Parses a JSON object; undefined for any other text. */
export function parseJsonObject(text: string): Record<string, unknown> | undefined {
  const value = parseJson(text);
  return isObject(value) ? value : undefined;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether a text keeps to the bounds above, by its brackets and colons outside of strings. */
function isBounded(text: string): boolean {
  // A line of JSON Lines has too few characters for many parts, and too few brackets, wherever they stand, for many levels.
  if (text.length <= maxParts && !hasMore(text, '[', maxLevels / 2) && !hasMore(text, '{', maxLevels / 2)) return true;
  let open = 0;
  let parts = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (inString) {
      if (code === backslash) i++;
      else if (code === quote) inString = false;
    } else if (code === quote) {
      inString = true;
    } else if (code === bracket || code === brace) {
      if (++open > maxLevels || ++parts > maxParts) return false;
    } else if (code === bracket + 2 || code === brace + 2) {
      open--;
    } else if (code === colon && ++parts > maxParts) {
      return false;
    }
  }
  return true;
}

/** Whether a text has a character more than `most` times. */
function hasMore(text: string, character: string, most: number): boolean {
  let found = 0;
  for (let at = text.indexOf(character); at >= 0; at = text.indexOf(character, at + 1)) if (++found > most) return true;
  return false;
}

const quote = 0x22;
const backslash = 0x5c;
const bracket = 0x5b;
const brace = 0x7b;
const colon = 0x3a;
