/**
 * Reads Python pickles that hold plain data, and runs nothing. A pickle is a program for a stack machine whose one
 * dangerous instruction is to look up any Python function by name; here a name is only looked up in a list that the
 * caller gives, and any other is refused by name. Opcodes: `Lib/pickletools.py` of CPython; protocols 2 to 5.
 *
 * None, bool, float, str, bytes, list, dict and set become null, boolean, number, string, Uint8Array, Array, Map and Set;
 * a tuple is an Array too, and an int a number, or a bigint beyond 2^53.
 */
import { NaanError } from '../errors.js';
import { quoted } from './messages.js';

/** What a pickle may name: a type it may make, or a function of data it may call. */
export interface PickleGlobal {
  /** Called by the pickle with its arguments; null: may be named but not called. */
  readonly call: ((args: readonly unknown[]) => unknown) | null;
  /** Takes the attributes of a value that `call` made. Absent: attributes are ignored. */
  readonly setState?: (value: unknown, state: unknown) => void;
}

export interface PickleRules {
  /** What a pickle may name, by `module.name`. */
  readonly globals: ReadonlyMap<string, PickleGlobal>;
  /** Turns a persistent id, which refers to data outside the pickle, into a value. */
  readonly load: (id: unknown) => unknown;
}

/** The opcode that every pickle of protocol 2 or newer starts with, PROTO. */
export const pickleStart = 0x80;

/**
 * Reads the pickle that starts at `start`; `end` is where it ends. `name` is for messages.
 * Throws UNSAFE_CHECKPOINT for a name that the rules lack, BAD_INPUT for a damaged pickle. Work and memory are bounded.
 */
export function unpickle(
  bytes: Uint8Array,
  start: number,
  rules: PickleRules,
  name: string,
): { value: unknown; end: number } {
  const machine = new PickleMachine(bytes, start, rules, name);
  return { value: machine.run(), end: machine.position };
}

/**
 * What a pickle may cost: an instruction counts 1, a container or object it makes `containerCost` more, and whatever is
 * moved from one container to another 1 for each element. So neither time nor memory (some hundred bytes for each
 * container, some ten for each element) can outgrow the file, as they would where one list is copied again and again.
 * A checkpoint with the state of its optimiser costs some ten thousand.
 */
const maxWork = 4_000_000;
const containerCost = 16;
/** Longer integers, which no checkpoint needs, would take time that grows faster than their length. */
const longestIntegerBytes = 255;

class PickleMachine {
  position: number;
  private readonly data: Buffer;
  private readonly rules: PickleRules;
  private readonly name: string;
  private stack: unknown[] = [];
  /** Stacks put aside at each MARK. */
  private readonly marked: unknown[][] = [];
  private readonly memo = new Map<number, unknown>();
  /** Which global made a value, for its attributes. */
  private readonly madeBy = new WeakMap<object, PickleGlobal>();
  private readonly globals: ReadonlySet<unknown>;
  private work = 0;

  constructor(bytes: Uint8Array, start: number, rules: PickleRules, name: string) {
    this.data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = start;
    this.rules = rules;
    this.name = name;
    this.globals = new Set(rules.globals.values());
  }

  run(): unknown {
    for (;;) {
      this.charge(1);
      const opcode = this.unsigned(1);
      if (opcode === 0x2e) return this.pop(); // STOP
      this.step(opcode);
    }
  }

  private charge(work: number): void {
    this.work += work;
    if (this.work > maxWork)
      throw this.bad(`has taken ${maxWork} steps of work and goes on, which no checkpoint needs`);
  }

  /** Notes that an instruction makes a container of `count` elements. */
  private charged<T>(container: T, count = 0): T {
    this.charge(containerCost + count);
    return container;
  }

  private step(opcode: number): void {
    const value = this.valueOf(opcode);
    if (value !== undefined) this.stack.push(value);
    else this.act(opcode);
  }

  /** The value that an opcode pushes; undefined when it is not one that does. */
  private valueOf(opcode: number): unknown {
    switch (opcode) {
      case 0x4e: // NONE
        return null;
      case 0x88: // NEWTRUE
        return true;
      case 0x89: // NEWFALSE
        return false;
      case 0x4b: // BININT1
        return this.unsigned(1);
      case 0x4d: // BININT2
        return this.unsigned(2);
      case 0x4a: // BININT
        return this.take(4).readInt32LE();
      case 0x8a: // LONG1
        return this.integer(this.unsigned(1));
      case 0x8b: // LONG4
        return this.integer(this.unsigned(4));
      case 0x47: // BINFLOAT
        return this.take(8).readDoubleBE();

      case 0x8c: // SHORT_BINUNICODE
        return this.take(this.unsigned(1)).toString('utf8');
      case 0x58: // BINUNICODE
        return this.take(this.unsigned(4)).toString('utf8');
      case 0x8d: // BINUNICODE8
        return this.take(this.unsigned(8)).toString('utf8');
      case 0x55: // SHORT_BINSTRING, the str of Python 2
        return this.take(this.unsigned(1)).toString('latin1');
      case 0x54: // BINSTRING
        return this.take(this.unsigned(4)).toString('latin1');
      case 0x43: // SHORT_BINBYTES
        return this.charged(Uint8Array.from(this.take(this.unsigned(1))));
      case 0x42: // BINBYTES
        return this.charged(Uint8Array.from(this.take(this.unsigned(4))));
      case 0x8e: // BINBYTES8
        return this.charged(Uint8Array.from(this.take(this.unsigned(8))));

      case 0x5d: // EMPTY_LIST
      case 0x29: // EMPTY_TUPLE
        return this.charged([]);
      case 0x7d: // EMPTY_DICT
        return this.charged(new Map());
      case 0x8f: // EMPTY_SET
        return this.charged(new Set());
      case 0x91: // FROZENSET
        return this.setOf(this.popMark());
      case 0x6c: // LIST
      case 0x74: // TUPLE
        return this.popMark();
      case 0x64: // DICT
        return this.withItems(this.charged(new Map()), this.popMark());
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        return this.charged(this.popMany(opcode - 0x84));

      case 0x32: // DUP
        return this.top();
      case 0x68: // BINGET
        return this.recall(this.unsigned(1));
      case 0x6a: // LONG_BINGET
        return this.recall(this.unsigned(4));
      case 0x63: // GLOBAL
        return this.global([this.line(), this.line()]);
      case 0x93: // STACK_GLOBAL
        return this.global(this.popMany(2));
      case 0x51: // BINPERSID
        return this.rules.load(this.pop());
      case 0x52: // REDUCE
      case 0x81: // NEWOBJ
        return this.call(this.popMany(2));
      default:
        return undefined;
    }
  }

  private act(opcode: number): void {
    switch (opcode) {
      case 0x80: // PROTO
        this.unsigned(1);
        break;
      case 0x95: // FRAME
        this.unsigned(8);
        break;
      case 0x28: // MARK
        this.marked.push(this.stack);
        this.stack = this.charged([]);
        break;
      case 0x30: // POP
        if (this.stack.length > 0) this.pop();
        else this.popMark();
        break;
      case 0x31: // POP_MARK
        this.popMark();
        break;
      case 0x71: // BINPUT
        this.memo.set(this.unsigned(1), this.top());
        break;
      case 0x72: // LONG_BINPUT
        this.memo.set(this.unsigned(4), this.top());
        break;
      case 0x94: // MEMOIZE
        this.memo.set(this.memo.size, this.top());
        break;
      case 0x61: // APPEND
        this.append(this.popMany(1));
        break;
      case 0x65: // APPENDS
        this.append(this.popMark());
        break;
      case 0x73: // SETITEM
        this.setItems(this.popMany(2));
        break;
      case 0x75: // SETITEMS
        this.setItems(this.popMark());
        break;
      case 0x90: // ADDITEMS
        this.addItems(this.popMark());
        break;
      case 0x62: // BUILD
        this.setState();
        break;
      default:
        throw this.bad(`has opcode 0x${opcode.toString(16)}, which no checkpoint needs`);
    }
  }

  private pop(): unknown {
    if (this.stack.length === 0) throw this.bad('takes a value from an empty stack');
    return this.stack.pop();
  }

  private top(): unknown {
    if (this.stack.length === 0) throw this.bad('takes a value from an empty stack');
    return this.stack[this.stack.length - 1];
  }

  private popMany(count: number): unknown[] {
    if (this.stack.length < count) throw this.bad('takes a value from an empty stack');
    return this.stack.splice(-count);
  }

  /** The values since the last MARK. */
  private popMark(): unknown[] {
    const values = this.stack;
    const before = this.marked.pop();
    if (!before) throw this.bad('looks for a mark that is not there');
    this.stack = before;
    return values;
  }

  private recall(index: number): unknown {
    if (!this.memo.has(index)) throw this.bad(`recalls value ${index}, which was not stored`);
    return this.memo.get(index);
  }

  private append(values: readonly unknown[]): void {
    const list = this.top();
    if (!Array.isArray(list)) throw this.bad('appends to what is no list');
    this.charge(values.length);
    for (const value of values) list.push(value);
  }

  private setItems(keysAndValues: readonly unknown[]): void {
    const map = this.top();
    if (!(map instanceof Map)) throw this.bad('sets an item of what is no dict');
    this.withItems(map, keysAndValues);
  }

  private withItems(map: Map<unknown, unknown>, keysAndValues: readonly unknown[]): Map<unknown, unknown> {
    if (keysAndValues.length % 2 !== 0) throw this.bad('has a key without a value');
    this.charge(keysAndValues.length);
    for (let i = 0; i < keysAndValues.length; i += 2) map.set(keysAndValues[i], keysAndValues[i + 1]);
    return map;
  }

  private addItems(values: readonly unknown[]): void {
    const set = this.top();
    if (!(set instanceof Set)) throw this.bad('adds to what is no set');
    this.charge(values.length);
    for (const value of values) set.add(value);
  }

  private setOf(values: readonly unknown[]): Set<unknown> {
    return this.charged(new Set(values), values.length);
  }

  private global([module, name]: unknown[]): PickleGlobal {
    if (typeof module !== 'string' || typeof name !== 'string') throw this.bad('looks up a name that is no text');
    const qualified = `${module}.${name}`;
    const known = this.rules.globals.get(qualified);
    if (known) return known;
    throw new NaanError(
      'UNSAFE_CHECKPOINT',
      `${this.name}: names ${quoted(qualified)}, which a checkpoint of tensors does not need and which could run ` +
        'anything: refused, nothing was run. Save it again from Python with tensors, numbers, text, lists and dicts alone',
    );
  }

  private call([made, args]: unknown[]): unknown {
    if (!this.isGlobal(made)) throw this.bad('calls what is no function');
    if (made.call === null) {
      const [name] = [...this.rules.globals].find(([, global]) => global === made) ?? [];
      throw this.bad(`calls ${name}`);
    }
    if (!Array.isArray(args)) throw this.bad('calls a function with what is no tuple');
    this.charge(containerCost + args.reduce((sum: number, arg) => sum + 1 + elementCount(arg), 0));
    const value = made.call(args) ?? null;
    if (typeof value === 'object' && value !== null) this.madeBy.set(value, made);
    return value;
  }

  private setState(): void {
    const state = this.pop();
    const value = this.top();
    const maker = typeof value === 'object' && value !== null ? this.madeBy.get(value) : undefined;
    if (!maker) throw this.bad('sets attributes of what has none');
    this.charge(elementCount(state));
    maker.setState?.(value, state);
  }

  private isGlobal(value: unknown): value is PickleGlobal {
    return this.globals.has(value);
  }

  private integer(size: number): number | bigint {
    if (size > longestIntegerBytes) throw this.bad(`has an integer of ${size} bytes`);
    if (size === 0) return 0;
    const hex = Buffer.from(this.take(size)).reverse().toString('hex');
    const value = BigInt.asIntN(8 * size, BigInt(`0x${hex}`));
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  private unsigned(size: 1 | 2 | 4 | 8): number {
    const bytes = this.take(size);
    return size === 8 ? Number(bytes.readBigUInt64LE()) : bytes.readUIntLE(0, size);
  }

  private line(): string {
    const end = this.data.indexOf(0x0a, this.position);
    if (end < 0) throw this.bad('ends within a name');
    const text = this.data.toString('utf8', this.position, end);
    this.position = end + 1;
    return text;
  }

  private take(size: number): Buffer {
    if (size > this.data.length - this.position) throw this.bad('ends early: it is truncated');
    this.position += size;
    return this.data.subarray(this.position - size, this.position);
  }

  private bad(what: string): NaanError {
    return new NaanError(
      'BAD_INPUT',
      `${this.name}: not a checkpoint of torch.save, or a damaged one: before byte ${this.position} it ${what}`,
    );
  }
}

/** Elements that whoever takes a value may have to look at. */
function elementCount(value: unknown): number {
  if (Array.isArray(value) || typeof value === 'string' || value instanceof Uint8Array) return value.length;
  return value instanceof Map || value instanceof Set ? value.size : 0;
}
