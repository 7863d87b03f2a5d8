/** Decodes images by sharp, a package that is loaded here alone, when images are looked at. */
import type { Sharp, SharpOptions } from 'sharp';
import { NaanError } from '../errors.js';
import type { Pixels } from './resize.js';

type MakeSharp = (input: string | Uint8Array, options: SharpOptions) => Sharp;

/** Loaders of libvips for what photographs come in. Others, such as those of SVG and PDF, do far more than decode. */
const loaders = ['Jpeg', 'Png', 'Webp', 'Nsgif', 'Tiff', 'Heif'];
export const imageEndings: ReadonlySet<string> = new Set(['jpg', 'jpeg', 'png', 'webp', 'gif', 'tif', 'tiff', 'avif']);
export const imageKinds = 'JPEG, PNG, WebP, GIF, TIFF or AVIF';

/** A photograph of a crowd has fewer. */
export const maxImagePixels = 2 ** 27;
const sharpVersion = '0.35.5';

let loaded: Promise<MakeSharp> | undefined;

/**
 * Loads sharp and settles, once and for all threads of the process, what it may load: for a moment it can load nothing, so no
 * image may be under way. Throws BACKEND_UNAVAILABLE where the package is not installed or does not load.
 */
export function loadSharp(): Promise<MakeSharp> {
  loaded ??= importSharp().then((sharp) => {
    sharp.cache(false); // each image is decoded once
    sharp.concurrency(1); // images are decoded side by side, not one by several threads
    sharp.block({ operation: ['VipsForeignLoad'] });
    sharp.unblock({ operation: loaders.map((name) => `VipsForeignLoad${name}`) });
    return sharp;
  });
  loaded.catch(() => {
    loaded = undefined;
  });
  return loaded;
}

/** Sharp on a thread whose process has called `loadSharp`. Throws BACKEND_UNAVAILABLE as that does. */
export async function importSharp(): Promise<typeof import('sharp').default> {
  try {
    return (await import('sharp')).default;
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND';
    const [reason] = (cause instanceof Error ? cause.message : String(cause)).trim().split('\n');
    const problem = isMissing ? 'is not installed' : `does not load (${reason})`;
    throw new NaanError(
      'BACKEND_UNAVAILABLE',
      `the package sharp, which decodes images, ${problem}: 'npm install sharp@${sharpVersion}' beside naan; it runs no script and fetches nothing later`,
      { cause },
    );
  }
}

/**
 * The pixels of an image file, or of its bytes: turned as EXIF says, grey as RGB, 16 bits cut to 8, without transparency and
 * colour profile, as readers of training sets have them. Throws Error with the reason where it is not whole.
 */
export async function decode(
  sharp: MakeSharp,
  image: string | Uint8Array,
  maxPixels = maxImagePixels,
): Promise<Pixels> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await decodeOnce(sharp, image, maxPixels);
    } catch (error) {
      // All threads of libvips share one list of reasons, and one that fails just then can take this one's.
      if (attempt === attempts || !/Unknown error/.test(String(error))) throw error;
    }
  }
}

const attempts = 5;

async function decodeOnce(sharp: MakeSharp, image: string | Uint8Array, limitInputPixels: number): Promise<Pixels> {
  const { data, info } = await sharp(image, {
    failOn: 'error',
    autoOrient: true,
    ignoreIcc: true,
    limitInputPixels,
  })
    .removeAlpha()
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  if (channels !== 3) throw new Error(`has ${channels} channels, expected 3`);
  return { data, width, height };
}

/** Whether `decode` refused an image for its pixels alone. */
export function hasMorePixels(error: unknown): boolean {
  return /exceeds pixel limit/.test(String(error));
}

/** Why an image could not be decoded, in few words. */
export function reasonOf(error: unknown): string {
  const [line] = (error instanceof Error ? error.message : String(error)).trim().split('\n');
  if (/unsupported image format|contains unsupported|operation is blocked/i.test(line)) return `is no ${imageKinds}`;
  return line.replace(/^Input (file|buffer) /, '').replace(/^.*: (?=Vips|vips)/, '');
}

export type { MakeSharp };
