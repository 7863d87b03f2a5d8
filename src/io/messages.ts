/** Text from a file nobody trusts, for a message: on one line, not endless. */
export function oneLine(text: string): string {
  return JSON.stringify(text.length > 100 ? text.slice(0, 100) + '…' : text).slice(1, -1);
}

export function quoted(text: string): string {
  return `'${oneLine(text)}'`;
}

/** A value as JSON, for a message: not endless. */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(value) ?? 'none';
  return text.length > 500 ? `${text.slice(0, 500)}…` : text;
}
