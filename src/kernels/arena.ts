/**
 * Working memory of one thread: views of one WebAssembly memory, so that SIMD kernels, ONNX Runtime and file reads
 * share it without copies. Views are made once, at start; growing the memory would detach them, so the arena is told
 * its size first.
 */
import { NaanError } from '../errors.js';

const pageBytes = 65536;
const alignment = 64;
const maxPages = 65536;

export class Arena {
  readonly memory: WebAssembly.Memory;
  private top = alignment;

  /** `bytes` is the sum of all views to come; `views` how many, for their alignment. Throws BAD_USAGE beyond 4 GiB. */
  constructor(bytes: number, views = 64) {
    const pages = Math.ceil((bytes + (views + 1) * alignment) / pageBytes);
    if (pages > maxPages) {
      const gib = (bytes / 2 ** 30).toFixed(1);
      throw new NaanError('BAD_USAGE', `working memory of ${gib} GiB a thread, at most 4 GiB: use a smaller batch`);
    }
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: maxPages });
  }

  float32(length: number): Float32Array {
    return new Float32Array(this.memory.buffer, this.take(length * 4), length);
  }

  int32(length: number): Int32Array {
    return new Int32Array(this.memory.buffer, this.take(length * 4), length);
  }

  uint8(length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.memory.buffer, this.take(length), length);
  }

  private take(bytes: number): number {
    const start = this.top;
    this.top = Math.ceil((start + bytes) / alignment) * alignment;
    return start;
  }
}
