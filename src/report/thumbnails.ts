/** Small copies of images, by the package sharp where it is installed. */
import { loadSharp, maxImagePixels } from '../extraction/decode.js';

const edge = 64;

/** Makes a data URI (JPEG, about 2 kB) of an image file, undefined where it is none. Undefined itself without the package. */
export async function thumbnailMaker(): Promise<((path: string) => Promise<string | undefined>) | undefined> {
  const sharp = await loadSharp().catch(() => undefined);
  if (!sharp) return undefined;
  return async (path) => {
    try {
      const image = sharp(path, { limitInputPixels: maxImagePixels, autoOrient: true, failOn: 'error' });
      const small = image.resize(edge, edge, { fit: 'cover' }).flatten({ background: '#888' });
      const bytes = await small.jpeg({ quality: 60 }).toBuffer();
      return `data:image/jpeg;base64,${bytes.toString('base64')}`;
    } catch {
      return undefined;
    }
  };
}
