/** Labels, and names of rows, in an array of numbers or of text of fixed width. */
import { NaanError } from '../errors.js';
import { requireMemory } from '../memory/available.js';
import { readWindows } from './byte-source.js';
import type { Items, VisitNames } from './item-list.js';
import { LabelGatherer, type Labels } from './label-codes.js';
import { quoted } from './messages.js';
import { elementText, type FloatType, float32Decoder, int32Decoder, isFloat } from './numbers.js';
import { checkNumbers, checkWhole, readElements, type StoredArray, type StoredNumbers } from './stored-array.js';

const windowElements = 2 ** 19;
const textType = /^[<>|=]?([US])(\d+)$/;
/** The most bytes of one label or name, as it is stored. */
const maxTextBytes = 2 ** 18;

/** Reads the labels of an array [n], or [n × 1]. Throws BAD_INPUT, naming the row that has none, BAD_SHAPE or OUT_OF_MEMORY. */
export async function labelsOfArray(array: StoredArray): Promise<Labels> {
  const { source, shape, length, dtype } = array;
  if (shape.length === 0 || length === 0 || !shape.includes(length)) {
    throw new NaanError('BAD_SHAPE', `${source.name}: shape (${shape}), expected labels [n]`);
  }
  requireMemory(4 * length, `${source.name}: ${length} labels`);
  const [, kind, width] = textType.exec(dtype) ?? [];
  if (kind === 'U' || kind === 'S') return textLabels(array, kind, Number(width));
  if (dtype === '|b1') return numberLabels(checkNumbers({ ...array, type: 'u1' }));
  if (dtype.endsWith('O')) {
    const advice = 'save them as labels.astype(str)';
    throw new NaanError(
      'BAD_INPUT',
      `${source.name}: dtype ${quoted(dtype)}, a pickle, which could run code: ${advice}`,
    );
  }
  return numberLabels(checkNumbers(array));
}

async function numberLabels(array: StoredNumbers): Promise<Labels> {
  return (await int32Labels(array)) ?? anyNumberLabels(array);
}

/** Undefined when a label is no 32-bit integer, or they are floats. */
async function int32Labels(array: StoredNumbers): Promise<Labels | undefined> {
  const { type } = array;
  if (isFloat(type)) return undefined;
  const codes = allocate(array);
  let complete = true;
  await readElements(array, 8 * windowElements, (buffer, count, start) => {
    complete &&= int32Decoder(type, buffer)(0, count, codes, start) === count;
  });
  return complete ? { codes } : undefined;
}

/** Up to this number a float distinguishes whole numbers; above it two labels may become one. */
const largestExact: Readonly<Record<string, number>> = { f2: 2 ** 11, bf16: 2 ** 8, f4: 2 ** 24, f8: 2 ** 53 };

async function anyNumberLabels(array: StoredNumbers): Promise<Labels> {
  const { type, source } = array;
  const where = (row: number) => `${source.name}: row ${row}`;
  const labels = new LabelGatherer(where);
  await readElements(array, 8 * windowElements, (buffer, count, start) => {
    const textAt = isFloat(type) ? floatText(type, buffer, count) : (i: number) => elementText(type, buffer, i);
    for (let i = 0; i < count; i++) {
      const text = textAt(i);
      if (Math.abs(Number(text)) > largestExact[type]) {
        const advice = `whole numbers of ${type} are exact up to ${largestExact[type]}: save the labels as integers`;
        throw new NaanError('BAD_INPUT', `${where(start + i)}: ${text}: ${advice}`);
      }
      labels.add(text, start + i);
    }
  });
  return labels.finish();
}

function floatText(type: FloatType, buffer: ArrayBuffer, count: number): (i: number) => string {
  if (type === 'f8') return (i) => elementText(type, buffer, i);
  const values = new Float32Array(count);
  float32Decoder(type, buffer)(0, count, values, 0, 1);
  return (i) => String(values[i]);
}

/** The labels of an array of text. */
async function textLabels(array: StoredArray, kind: 'U' | 'S', width: number): Promise<Labels> {
  const labels = new LabelGatherer((row) => `${array.source.name}: row ${row}`);
  await eachText(array, kind, width, (texts, first) => {
    for (let i = 0; i < texts.length; i++) labels.add(texts[i].trim(), first + i);
  });
  return labels.finish();
}

/**
 * The names of rows in an array [n], or [n × 1], of text or integers; undefined where it is of anything else.
 * Throws BAD_INPUT, naming the row that has none.
 */
export function itemsOfArray(array: StoredArray): Items | undefined {
  const { source, shape, length, dtype, type } = array;
  if (shape.length === 0 || length === 0 || !shape.includes(length)) return undefined;
  const [, kind, width] = textType.exec(dtype) ?? [];
  if (kind === undefined && (type === undefined || isFloat(type))) return undefined;
  const each = async (visit: VisitNames): Promise<void> => {
    if (kind !== undefined) {
      return eachText(array, kind as 'U' | 'S', Number(width), (texts, first) => {
        const missing = texts.indexOf('');
        if (missing < 0) return visit(texts, first);
        throw new NaanError('BAD_INPUT', `${source.name}: row ${first + missing}: has no item`);
      });
    }
    const numbers = checkNumbers(array);
    await readElements(numbers, 2 ** 16, (buffer, count, first) =>
      visit(
        Array.from({ length: count }, (_, i) => elementText(numbers.type, buffer, i)),
        first,
      ),
    );
  };
  return { name: source.name, each, count: async () => length };
}

/** Texts window by window. Elements of NumPy's `U` are UTF-32, of `S` bytes, here UTF-8; both are filled up with zeros. */
async function eachText(array: StoredArray, kind: 'U' | 'S', width: number, visit: VisitNames): Promise<void> {
  const { source, dataStart, length, littleEndian } = array;
  const elementBytes = kind === 'U' ? 4 * width : width;
  const where = (row: number) => `${source.name}: row ${row}`;
  if (elementBytes === 0) throw new NaanError('BAD_INPUT', `${where(0)}: has no text: dtype ${quoted(array.dtype)}`);
  if (elementBytes > maxTextBytes) {
    const most = `texts of ${elementBytes} bytes, expected at most ${maxTextBytes}`;
    throw new NaanError('BAD_INPUT', `${source.name}: dtype ${quoted(array.dtype)}: ${most}`);
  }
  checkWhole(array, elementBytes);
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const textOf = (bytes: Uint8Array, row: number) => {
    try {
      return kind === 'U' ? utf32(bytes, littleEndian) : utf8.decode(bytes.subarray(0, bytesBeforeZeros(bytes)));
    } catch (cause) {
      throw new NaanError('BAD_INPUT', `${where(row)}: is no text: ${kind === 'U' ? 'UTF-32' : 'UTF-8'} expected`, {
        cause,
      });
    }
  };
  const rowsAtOnce = Math.max(1, Math.floor((8 * windowElements) / elementBytes));
  await readWindows(source, dataStart, rowsAtOnce * elementBytes, async (window, byteStart) => {
    const start = byteStart / elementBytes;
    const count = Math.min(Math.floor(window.length / elementBytes), length - start);
    const texts: string[] = [];
    for (let i = 0; i < count; i++) {
      texts.push(textOf(window.subarray(i * elementBytes, (i + 1) * elementBytes), start + i));
    }
    await visit(texts, start);
  });
}

function bytesBeforeZeros(bytes: Uint8Array): number {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return end;
}

/** Throws RangeError for a code point that is none. */
function utf32(bytes: Uint8Array, littleEndian: boolean): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let text = '';
  for (let at = 0; at < bytes.length; at += 4) {
    const point = view.getUint32(at, littleEndian);
    if (point === 0) break;
    text += String.fromCodePoint(point);
  }
  return text;
}

/** Room for a code each. Throws OUT_OF_MEMORY when the system refuses it. */
function allocate({ source, length }: StoredNumbers): Int32Array {
  try {
    return new Int32Array(length);
  } catch (cause) {
    throw new NaanError('OUT_OF_MEMORY', `${source.name}: memory for ${length} labels was refused`, { cause });
  }
}
