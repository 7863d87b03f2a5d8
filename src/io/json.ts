/** JSON in files that nobody vouches for. */

/** Nothing that naan reads nests more than a few levels; what nests without end would exhaust the stack of whoever walks it. */
const mostLevels = 64;

/** The value of a text; undefined when that is no JSON, or nested deeper than anything here needs. */
export function parseJson(text: string): unknown {
  if (levelsOf(text) > mostLevels) return undefined;
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

/** Brackets that are open at once, at the most; it stops counting once there are too many. */
function levelsOf(text: string): number {
  let open = 0;
  let most = 0;
  let inString = false;
  for (let i = 0; i < text.length && most <= mostLevels; i++) {
    const code = text.charCodeAt(i);
    if (inString) {
      if (code === backslash) i++;
      else if (code === quote) inString = false;
    } else if (code === quote) {
      inString = true;
    } else if (code === bracket || code === brace) {
      most = Math.max(most, ++open);
    } else if (code === bracket + 2 || code === brace + 2) {
      open--;
    }
  }
  return most;
}

const quote = 0x22;
const backslash = 0x5c;
const bracket = 0x5b;
const brace = 0x7b;
