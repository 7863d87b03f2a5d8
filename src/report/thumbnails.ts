/** Small copies of images, by the package sharp where it is installed. */

const edge = 64;
const mostPixels = 2 ** 27;

/** Makes a data URI (JPEG, about 2 kB) of an image file, undefined where it is none. Undefined itself without the package. */
export async function thumbnailMaker(): Promise<((path: string) => Promise<string | undefined>) | undefined> {
  let sharp: typeof import('sharp').default;
  try {
    sharp = (await import('sharp')).default;
  } catch {
    return undefined;
  }
  return async (path) => {
    try {
      const image = sharp(path, { limitInputPixels: mostPixels, autoOrient: true, failOn: 'error' });
      const small = image.resize(edge, edge, { fit: 'cover' }).flatten({ background: '#888' });
      const bytes = await small.jpeg({ quality: 60 }).toBuffer();
      return `data:image/jpeg;base64,${bytes.toString('base64')}`;
    } catch {
      return undefined;
    }
  };
}
