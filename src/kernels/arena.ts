/**
 * Working memory of one thread: views cut from one WebAssembly memory, so that SIMD kernels, ONNX Runtime and file reads
 * share it without copies. Views are cut once, at start; growing the memory would detach them, so the arena is told
 * its size first.
 */
const pageBytes = 65536;
const alignment = 64;

export class Arena {
  readonly memory: WebAssembly.Memory;
  private top = alignment;

  /** `bytes` is the sum of all views to come; `views` how many, for their alignment. */
  constructor(bytes: number, views = 64) {
    const pages = Math.ceil((bytes + (views + 1) * alignment) / pageBytes);
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: 65536 });
  }

  float32(length: number): Float32Array {
    return new Float32Array(this.memory.buffer, this.take(length * 4), length);
  }

  int32(length: number): Int32Array {
    return new Int32Array(this.memory.buffer, this.take(length * 4), length);
  }

  private take(bytes: number): number {
    const start = this.top;
    this.top = Math.ceil((start + bytes) / alignment) * alignment;
    return start;
  }
}
