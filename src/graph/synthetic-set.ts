/**
 * Seeded face-like embeddings of which any row can be made by itself.
 *
 * An image of identity p is   x = u_p + t · v_p + q · ε,   L2-normalised:
 *   u_p = √s_p F + √(1 − s_p) G_p   the identity; F is shared by its family, so families are look-alikes of degree s_p
 *   v_p, t in (−1, 1)               a pose axis; t gathers at the two ends, with some images on the way between them
 *   q                               bad quality: log-normal, so that some images keep little of their identity
 * F, G, v and ε are Gaussian with one falling spectrum, as embeddings have. Two bad images of one identity are further
 * apart than two good ones of look-alikes, so no cosine threshold separates identities; their neighbours, however, are
 * mostly the good images of their own.
 */
import { RandomStream, shuffled } from './random.js';

const familySize = 5;
const largestIdentity = 500;
const medianSize = 10;
/** Images of an identity are fewer than this on average only in a set of few. */
export const leastMeanSize = 16;
const sizeSpread = 1.15;
const leastShare = 0.2;
const greatestShare = 0.82;
const poseScale = 0.5;
const medianNoise = 0.9;
const noiseSpread = 0.4;
/** Columns of the spectrum before it falls. */
const spectrumKnee = 48;

/** Purposes of random streams; the split is the lowest bit, so two splits share no identity. */
const purpose = { size: 0, family: 2, identity: 4, image: 6, order: 8, filler: 10 } as const;

export interface SetOptions {
  readonly seed: number;
  readonly split: 0 | 1;
  readonly dim: number;
  /** The size of the set: a number of identities of random sizes, or as many identities as fill a number of nodes exactly (the last is shortened). */
  readonly extent: { readonly ids: number } | { readonly nodes: number };
  /** Nodes in random order rather than by identity. */
  readonly shuffle: boolean;
}

export class SyntheticSet {
  readonly nodeCount: number;
  readonly dim: number;
  readonly identityCount: number;
  /** [identityCount + 1]: images of identity p are starts[p] .. starts[p + 1]. */
  private readonly starts: Int32Array;
  /** Image shown by each row, when shuffled. */
  private readonly order: Int32Array | undefined;
  private readonly options: SetOptions;
  private readonly spectrum: Float32Array;
  private readonly centre: Float32Array;
  private readonly pose: Float32Array;
  private readonly scratch: Float32Array;
  /** Identity that `centre` and `pose` hold. */
  private loaded = -1;

  constructor(options: SetOptions) {
    this.options = options;
    this.dim = options.dim;
    this.starts = identityStarts(options, (identity) => this.stream('size', identity));
    this.identityCount = this.starts.length - 1;
    this.nodeCount = this.starts[this.identityCount];
    this.order = options.shuffle ? shuffled(this.nodeCount, this.stream('order', 0)) : undefined;
    this.spectrum = fallingSpectrum(this.dim);
    this.centre = new Float32Array(this.dim);
    this.pose = new Float32Array(this.dim);
    this.scratch = new Float32Array(this.dim);
  }

  /** Image that a row shows; images of one identity, and identities of one family, follow one another. */
  imageOfRow(row: number): number {
    return this.order ? this.order[row] : row;
  }

  /** Row that shows each image [n]. */
  rowsOfImages(): Int32Array {
    const rows = new Int32Array(this.nodeCount);
    for (let row = 0; row < rows.length; row++) rows[this.imageOfRow(row)] = row;
    return rows;
  }

  identityOfImage(image: number): number {
    let low = 0;
    let high = this.identityCount;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (this.starts[middle] <= image) low = middle;
      else high = middle;
    }
    return low;
  }

  /** Identity of each row [n]. */
  labels(): Int32Array {
    return Int32Array.from({ length: this.nodeCount }, (_, row) => this.identityOfImage(this.imageOfRow(row)));
  }

  /** First image of each family, then the number of images. */
  familyStarts(): Int32Array {
    const families = Math.ceil(this.identityCount / familySize);
    const last = this.identityCount;
    return Int32Array.from({ length: families + 1 }, (_, f) => this.starts[Math.min(f * familySize, last)]);
  }

  /** Rows [start, start + count) into out [count × d]. */
  rows(start: number, count: number, out: Float32Array): void {
    const { dim } = this;
    for (let i = 0; i < count; i++) this.image(this.imageOfRow(start + i), out.subarray(i * dim, (i + 1) * dim));
  }

  /** One image into out [d]. */
  image(image: number, out: Float32Array): void {
    this.load(this.identityOfImage(image));
    const { dim, spectrum, centre, pose, scratch } = this;
    const random = this.stream('image', image);
    const toEnd = 2 * random.uniform() - 1;
    const t = Math.sign(toEnd) * Math.sqrt(Math.abs(toEnd));
    const q = medianNoise * Math.exp(noiseSpread * random.gaussian());
    random.gaussians(scratch);
    let squares = 0;
    for (let c = 0; c < dim; c++) {
      const value = centre[c] + t * pose[c] + q * spectrum[c] * scratch[c];
      squares += value * value;
      out[c] = value;
    }
    const scale = 1 / Math.sqrt(squares);
    for (let c = 0; c < dim; c++) out[c] *= scale;
  }

  private load(identity: number): void {
    if (identity === this.loaded) return;
    this.loaded = identity;
    const { dim, spectrum, centre, pose, scratch } = this;
    const random = this.stream('identity', identity);
    const share = leastShare + (greatestShare - leastShare) * random.uniform();
    this.stream('family', Math.floor(identity / familySize)).gaussians(centre);
    random.gaussians(scratch);
    random.gaussians(pose);
    const shared = Math.sqrt(share);
    const own = Math.sqrt(1 - share);
    for (let c = 0; c < dim; c++) {
      centre[c] = spectrum[c] * (shared * centre[c] + own * scratch[c]);
      pose[c] *= spectrum[c] * poseScale;
    }
  }

  /** A stream that nothing else in this set uses. */
  stream(kind: keyof typeof purpose, index: number): RandomStream {
    return new RandomStream(this.options.seed, purpose[kind] + this.options.split, index);
  }
}

/** Log-normal sizes, at least one image each. */
function identityStarts({ extent }: SetOptions, stream: (identity: number) => RandomStream): Int32Array {
  const ids = 'ids' in extent ? extent.ids : Number.POSITIVE_INFINITY;
  const nodes = 'nodes' in extent ? extent.nodes : Number.POSITIVE_INFINITY;
  let starts = new Int32Array(Number.isFinite(ids) ? ids + 1 : 1024);
  let identity = 0;
  for (let total = 0; identity < ids && total < nodes; ) {
    const size = Math.round(medianSize * Math.exp(sizeSpread * stream(identity).gaussian()));
    total = Math.min(nodes, total + Math.max(1, Math.min(largestIdentity, size)));
    if (++identity === starts.length) {
      const longer = new Int32Array(2 * starts.length);
      longer.set(starts);
      starts = longer;
    }
    starts[identity] = total;
  }
  return starts.subarray(0, identity + 1);
}

/** Standard deviation of each column: flat, then falling as 1 / column; squares add up to one. */
function fallingSpectrum(dim: number): Float32Array {
  const spectrum = Float32Array.from({ length: dim }, (_, c) => 1 / Math.hypot(1, c / spectrumKnee));
  const norm = Math.sqrt(spectrum.reduce((sum, value) => sum + value * value, 0));
  return spectrum.map((value) => value / norm);
}
