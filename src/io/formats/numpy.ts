/** NumPy's files: `.npy`, one array, and `.npz`, a ZIP archive of them. */
import { NaanError } from '../../errors.js';
import { wholeFile } from '../byte-source.js';
import { oneLine } from '../messages.js';
import { isNpy, readHeader } from '../npy.js';
import { isZip, listZip } from '../zip.js';
import { arrayFormat, type NamedArrays } from './named-arrays.js';

export const npy = arrayFormat(
  'an .npy array',
  ({ start }) => isNpy(start),
  async (path) => new Map([['', () => readHeader(wholeFile(path))]]),
);

export const npz = arrayFormat('an .npz archive', ({ start }) => isZip(start), listArrays);

const suffix = '.npy';

/** Arrays of an `.npz`, whose members are named `.npy`. */
async function listArrays(path: string): Promise<NamedArrays> {
  const arrays: Map<string, () => ReturnType<typeof readHeader>> = new Map();
  const members = await listZip(path);
  for (const [name, find] of members) {
    if (!name.endsWith(suffix)) continue;
    arrays.set(name.slice(0, -suffix.length), async () => {
      const source = find();
      return readHeader({ ...source, name: source.name.slice(0, -suffix.length) });
    });
  }
  if (arrays.size === 0) {
    const found = [...members.keys()].slice(0, 5).map(oneLine).join(', ') || 'nothing';
    throw new NaanError('BAD_INPUT', `${path}: is a ZIP archive without .npy members, found: ${found}`);
  }
  return arrays;
}
