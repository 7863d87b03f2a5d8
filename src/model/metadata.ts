/** Reads the metadata of a model's file, value by value; errors name the key. */
import { NaanError } from '../errors.js';
import { quoted } from '../io/messages.js';

export class Metadata {
  constructor(
    private readonly values: ReadonlyMap<string, string>,
    /** The file, for messages. */
    private readonly path: string,
  ) {}

  has(key: string): boolean {
    return this.values.has(key);
  }

  /** Throws BAD_MODEL when the key is missing. */
  text(key: string): string {
    const value = this.values.get(key);
    if (value !== undefined) return value;
    throw new NaanError('BAD_MODEL', `${this.path}: metadata has no '${key}': not a naan model`);
  }

  number(key: string, accepted: (value: number) => boolean, expected: string): number {
    const text = this.text(key);
    const value = text.trim() === '' ? Number.NaN : Number(text);
    return accepted(value) ? value : this.refuse(key, `expected ${expected}`);
  }

  count(key: string): number {
    const accepted = (value: number) => Number.isInteger(value) && value > 0 && value < 2 ** 24;
    return this.number(key, accepted, 'a positive whole number');
  }

  /** Throws BAD_MODEL: the value of this key is not what it should be. */
  refuse(key: string, why: string): never {
    throw new NaanError('BAD_MODEL', `${this.path}: metadata '${key}' is ${quoted(this.text(key))}, ${why}`);
  }
}
