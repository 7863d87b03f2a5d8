/** Files that people give by mistake. naan reads none of them; a message says what the file is, and what to do. */
import type { Format } from './format.js';

/** Advice for such a file: `opened` is the Python expression of its array. */
const saving = (opened: string) => `save its array with numpy.save('FILE.npy', ${opened}), as docs/python.md has it`;

const tarMark = 'ustar';
const tarMarkAt = 257;

/** A PyTorch file is a ZIP archive as `.npz` is, and has to be looked at before that. */
export const torch: Format = {
  name: 'a PyTorch file',
  advice: saving('torch.load(FILE, weights_only=True).numpy()'),
  claims: ({ start }) => {
    const firstMember = Buffer.from(start.subarray(0, 256)).toString('latin1');
    return firstMember.startsWith('PK\x03\x04') && /^[^/]*\/data\.pkl/.test(firstMember.slice(30));
  },
};

export const foreign: readonly Format[] = [
  {
    name: 'a tar archive',
    advice: 'unpack it first',
    claims: ({ start }) => Buffer.from(start.subarray(tarMarkAt, tarMarkAt + tarMark.length)).toString() === tarMark,
  },
  starting('a gzip file', 'unpack it first', '\x1f\x8b'),
  starting('a bzip2 file', 'unpack it first', 'BZh'),
  starting('an xz file', 'unpack it first', '\xfd7zXZ\x00'),
  starting('a Zstandard file', 'unpack it first', '\x28\xb5\x2f\xfd'),
  starting('a 7z archive', 'unpack it first', '7z\xbc\xaf\x27\x1c'),
  starting('an HDF5 file', saving("h5py.File(FILE)['NAME'][:]"), '\x89HDF\r\n\x1a\n'),
  starting('a MATLAB file', saving("scipy.io.loadmat(FILE)['NAME']"), 'MATLAB 5.0'),
  // A file of this version is HDF5 behind 512 bytes of its own.
  starting('a MATLAB file of version 7.3', saving("h5py.File(FILE)['NAME'][:].T"), 'MATLAB 7.3'),
  starting('a Feather file of version 1', 'write it again with pyarrow.feather.write_feather', 'FEA1'),
  starting(
    'a pickle, which could run any code',
    `where you trust it ${saving("pickle.load(open(FILE, 'rb'))")}`,
    '\x80\x02',
    '\x80\x03',
    '\x80\x04',
    '\x80\x05',
  ),
  starting('a Git LFS pointer and not the file itself', 'run git lfs pull', 'version https://git-lfs'),
  starting('an HTML page', 'look at what the download says', '<!doctype html', '<html', '<?xml'),
];

/** Starts are compared without regard to case. */
function starting(name: string, advice: string, ...starts: readonly string[]): Format {
  const lowerCased = starts.map((start) => start.toLowerCase());
  return {
    name,
    advice,
    claims: ({ start }) => {
      const found = Buffer.from(start.subarray(0, 64)).toString('latin1').trimStart().toLowerCase();
      return lowerCased.some((one) => found.startsWith(one));
    },
  };
}
