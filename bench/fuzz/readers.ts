/** What naan reads from outside, each with whole files to damage and a way to make files that are wrong within. */
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  columnFromArray,
  dictionary,
  fixedSizeList,
  float32,
  list,
  tableFromColumns,
  tableToIPC,
  utf8,
} from '@uwdata/flechette';
import { parquetWriteFile } from 'hyparquet-writer';
import { framed, imageHeader, rangeHeader } from '../../src/datasets/rec.js';
import { readWork, workHeader } from '../../src/engine/work-dir.js';
import { NaanError } from '../../src/errors.js';
import { findRecords, namesOfRecords, readImageRecord } from '../../src/extraction/record-file.js';
import type { RandomStream } from '../../src/graph/random.js';
import { readFloat32Array, readInt32Array } from '../../src/io/arrays.js';
import { readClusterTable } from '../../src/io/cluster-table.js';
import { readDecisions } from '../../src/io/decisions.js';
import { locateFeatures } from '../../src/io/features.js';
import { openInput } from '../../src/io/input-file.js';
import { openItems, readItems } from '../../src/io/items.js';
import { openKnnRows, readKnn } from '../../src/io/knn.js';
import { readLabels } from '../../src/io/labels.js';
import { openRows } from '../../src/io/matrix.js';
import { importCheckpoint } from '../../src/model/import-checkpoint.js';
import { readModel, writeModel } from '../../src/model/model-file.js';
import { resolve } from '../../src/options/resolve.js';
import { readCheckpoint, writeCheckpoint } from '../../src/training/checkpoint.js';
import { smoothedDistanceModel } from '../smoothed-distance-model.js';
import { journalOf, type Member, npyOf, safetensorsOf, zipOf } from './containers.js';
import { damaged, oneOf, withOtherNumber, withOtherValue } from './mutations.js';

interface Seed {
  readonly whole: Buffer;
  /** A file of the same kind whose form is right and whose content is not. */
  readonly structural: (random: RandomStream) => Buffer;
  /** What commands do with such a file, on a path that it has the name of. */
  readonly read: (path: string) => Promise<unknown>;
}

export interface Reader {
  readonly name: string;
  /** Of the file that is read, within a folder of its own. */
  readonly fileName: string;
  readonly seeds: readonly Seed[];
  /** Whether files are decoded in the process for tables, whose time and memory count as well. */
  readonly inTableProcess?: boolean;
}

const fixtures = join('test', 'fixtures', 'one_head');
const [rows, dim] = [40, 6];

/** Makes the seeds in a folder. */
export async function makeReaders(folder: string): Promise<Reader[]> {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'seed');
  return [
    { name: 'npy', fileName: 'x.npy', seeds: npySeeds() },
    { name: 'npz', fileName: 'x.npz', seeds: npzSeeds() },
    { name: 'raw', fileName: 'x.bin', seeds: [rawSeed()] },
    { name: 'vecs', fileName: 'x', seeds: vecsSeeds() },
    {
      name: 'labels',
      fileName: 'x.txt',
      seeds: ['0\n3\n-1\n3\n'.repeat(20), 'ann\nbob\nann\n'.repeat(9)].map(textSeed(readLabels)),
    },
    { name: 'tables', fileName: 'x.csv', seeds: tableSeeds() },
    { name: 'items', fileName: 'x.txt', seeds: itemSeeds() },
    { name: 'safetensors', fileName: 'x.safetensors', seeds: await safetensorsSeeds(path) },
    { name: 'checkpoint', fileName: 'x.ckpt', seeds: checkpointSeeds() },
    { name: 'journal', fileName: 'journal', seeds: [journalSeed()] },
    { name: 'training', fileName: 'x.checkpoint', seeds: [await trainingSeed(path)] },
    { name: 'vectors', fileName: 'x.csv', seeds: vectorSeeds() },
    { name: 'parquet', fileName: 'x.parquet', seeds: parquetSeeds(path), inTableProcess: true },
    { name: 'arrow', fileName: 'x.arrow', seeds: arrowSeeds(), inTableProcess: true },
    { name: 'config', fileName: 'x.yaml', seeds: configSeeds() },
    { name: 'records', fileName: 'x.rec', seeds: [recordSeed()] },
    { name: 'record index', fileName: 'x.idx', seeds: [textSeed(readRecords)(recordFile().index)] },
    { name: 'record list', fileName: 'x.lst', seeds: [textSeed(readRecords)(recordList)] },
    { name: 'decisions', fileName: 'x.jsonl', seeds: [decisionSeed()] },
    { name: 'clusters', fileName: 'clusters.csv', seeds: [textSeed(readClusterTable)(clusterLines)] },
  ];
}

async function readFeatures(path: string, dim?: number): Promise<void> {
  const reader = openRows(await locateFeatures(path, { dim }));
  try {
    const count = Math.min(reader.rowCount, Math.max(1, Math.floor(2 ** 16 / reader.dim)));
    reader.read(reader.rowCount - count, count, new Float32Array(count * reader.dim));
  } finally {
    reader.close();
  }
}

async function readGraph(path: string): Promise<void> {
  const { nodeCount } = await readKnn(path);
  const lists = await openKnnRows(path, nodeCount);
  lists?.row(nodeCount - 1);
  lists?.close();
}

const readNames = async (path: string) => readItems(await openItems(path));
const readFloats = (path: string) => readFloat32Array(path, 'embs');
const readIntegers = (path: string) => readInt32Array(path, 'knn');

interface Plain {
  readonly descr: string;
  readonly shape: readonly number[];
  readonly data: Buffer;
  readonly fortran?: boolean;
  readonly read: Seed['read'];
}

const floats = Float32Array.from({ length: rows * dim }, (_, i) => Math.sin(i + 1));
const ids = Int32Array.from({ length: rows * 4 }, (_, i) => (Math.floor(i / 4) + (i % 4)) % rows);
const bytesOf = (view: Float32Array | Float64Array | Int32Array | BigInt64Array) => Buffer.from(view.buffer);

const arrays: readonly Plain[] = [
  { descr: '<f4', shape: [rows, dim], data: bytesOf(floats), read: readFeatures },
  { descr: '<f8', shape: [rows, dim], data: bytesOf(Float64Array.from(floats)), fortran: true, read: readFloats },
  { descr: '<i4', shape: [rows, 4], data: bytesOf(ids), read: readGraph },
  { descr: '<i8', shape: [rows, 4], data: bytesOf(BigInt64Array.from(ids, BigInt)), fortran: true, read: readGraph },
  { descr: '<i4', shape: [rows, 4], data: bytesOf(ids), read: readIntegers },
  {
    descr: '<i8',
    shape: [rows],
    data: bytesOf(BigInt64Array.from({ length: rows }, (_, i) => BigInt(i))),
    read: readLabels,
  },
  { descr: '<U3', shape: [rows], data: Buffer.from(new Int32Array(rows * 3).fill(97).buffer), read: readLabels },
  { descr: '|S4', shape: [rows], data: Buffer.alloc(4 * rows, 'abcd'), read: readNames },
];

const dtypes = [
  '<f4',
  '>f4',
  '<f2',
  '<f8',
  '|i1',
  '|u1',
  '<i8',
  '>i8',
  '<u8',
  '<U3',
  '>U1',
  '|S0',
  '|S9999999',
  '|O',
  '|b1',
  '<c8',
  '<M8[s]',
];

function headerOf({ descr, shape, fortran = false }: Plain): string {
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  return `{'descr': '${descr}', 'fortran_order': ${fortran ? 'True' : 'False'}, 'shape': (${sizes}), }`;
}

function otherHeader(random: RandomStream, array: Plain): string {
  const header = headerOf(array);
  switch (random.below(5)) {
    case 0:
      return header.replace(array.descr, oneOf(random, dtypes));
    case 1:
      return header.replace(
        /\(.*?\)/,
        `(${Array.from({ length: random.below(70) }, () => random.below(4)).join(', ')},)`,
      );
    case 2:
      return header.replace(/False|True/, oneOf(random, ['True', 'False', 'Maybe']));
    case 3:
      return damaged(random, Buffer.from(header), Buffer.from(header)).toString();
    default:
      return withOtherNumber(random, header);
  }
}

const otherArray = (random: RandomStream, array: Plain) =>
  npyOf(otherHeader(random, array), array.data, 1 + random.below(4));

function npySeeds(): Seed[] {
  return arrays.map((array) => ({
    whole: npyOf(headerOf(array), array.data),
    structural: (random) => otherArray(random, array),
    read: array.read,
  }));
}

async function readInflated(path: string): Promise<void> {
  await locateFeatures(path);
}

function vectorSeeds(): Seed[] {
  const vectors = Array.from({ length: 12 }, (_, row) => [...floats.subarray(row * dim, (row + 1) * dim)]);
  const lines = vectors.map((vector, i) => JSON.stringify({ path: `${i}.jpg`, label: i % 3, embedding: vector }));
  const titles = ['path', ...vectors[0].map((_, c) => `f${c}`)].join(',');
  const table = [titles, ...vectors.map((vector, i) => [`${i}.jpg`, ...vector].join(','))].join('\n');
  return [lines.join('\n'), table].map(textSeed(readInflated));
}

/** The archive with a member of other content, or whose entry lies. */
function otherArchive(random: RandomStream, members: readonly Member[], contentOf: (member: Member) => Buffer): Buffer {
  const chosen = random.below(members.length);
  const others = members.map((member, i): Member => {
    if (i !== chosen) return member;
    const size = oneOf(random, [0, 1, member.data.length - 1, member.data.length + 1, 2 ** 31, 2 ** 32 - 1]);
    switch (random.below(6)) {
      case 0:
        return { ...member, claims: { length: size } };
      case 1:
        return { ...member, claims: { method: random.below(20) } };
      case 2:
        return { ...member, claims: { offset: size } };
      case 3:
        return {
          ...member,
          name: oneOf(random, ['', '../x.npy', '/x', 'x\0.npy', `${'n'.repeat(3000)}.npy`, members[0].name]),
        };
      default:
        return { ...member, data: contentOf(member), deflated: random.below(2) === 0 };
    }
  });
  return zipOf(others, random.below(20) === 0 ? oneOf(random, [0, 1, 65_535]) : others.length);
}

function npzSeeds(): Seed[] {
  return [false, true].flatMap((deflated) =>
    arrays.map((array): Seed => {
      const members = [{ name: 'embs.npy', data: npyOf(headerOf(array), array.data), deflated }];
      return {
        whole: zipOf(members),
        structural: (random) => otherArchive(random, members, () => otherArray(random, array)),
        read: array.read,
      };
    }),
  );
}

function rawSeed(): Seed {
  const whole = bytesOf(floats);
  const structural = (random: RandomStream) => Buffer.concat(Array<Buffer>(random.below(30)).fill(whole));
  return { whole, structural, read: (path) => readFeatures(path, dim) };
}

/** Lists of numbers with names beside them, and a column for each value. Fields lie in Thrift, at both ends of the file. */
function parquetSeeds(path: string): Seed[] {
  const names = { name: 'path', data: Array.from({ length: rows }, (_, i) => `${i}.jpg`), type: 'STRING' as const };
  const lists = Array.from({ length: rows }, (_, i) => [...floats.subarray(i * dim, (i + 1) * dim)]);
  const wide = Array.from({ length: dim }, (_, c) => ({
    name: `v${c}`,
    data: Array.from({ length: rows }, (_, i) => floats[i * dim + c]),
    type: 'FLOAT' as const,
  }));
  return [
    [names, { name: 'embedding', data: lists, type: 'JSON' as const }],
    [names, ...wide],
  ].map((columnData) => {
    parquetWriteFile({ filename: path, columnData });
    const whole = readFileSync(path);
    const structural = (random: RandomStream) => {
      const file = Buffer.from(whole);
      const footer = file.readUInt32LE(file.length - 8);
      for (let changes = 1 + random.below(3); changes > 0; changes--) {
        file[file.length - 8 - 1 - random.below(footer)] = random.below(256);
      }
      return file;
    };
    return { whole, structural, read: readTable };
  });
}

async function readTable(path: string): Promise<void> {
  await readFeatures(path);
  await readNames(path);
}

/** Files and streams with lists or a column for each value, and Feather with compressed buffers. Fields lie before each body. */
function arrowSeeds(): Seed[] {
  const names = Array.from({ length: rows }, (_, i) => `${i}.jpg`);
  const vectors = Array.from({ length: rows }, (_, i) => [...floats.subarray(i * dim, (i + 1) * dim)]);
  const wide = Array.from({ length: dim }, (_, c) => [`v${c}`, vectors.map((vector) => vector[c])] as const);
  const ofLists = (type: Parameters<typeof columnFromArray>[1], format: 'file' | 'stream') =>
    tableToIPC(tableFromColumns({ path: columnFromArray(names, utf8()), embedding: columnFromArray(vectors, type) }), {
      format,
    })!;
  const ofColumns = tableFromColumns({
    path: columnFromArray(names, dictionary(utf8())),
    ...Object.fromEntries(wide.map(([name, values]) => [name, columnFromArray(values, float32())])),
  });
  return [
    ofLists(list(float32()), 'file'),
    ofLists(fixedSizeList(float32(), dim), 'stream'),
    tableToIPC(ofColumns, { format: 'stream' })!,
    readFileSync(join('test', 'fixtures', 'arrow', 'lz4.feather')),
    readFileSync(join('test', 'fixtures', 'arrow', 'zstd.feather')),
  ].map((bytes) => {
    const whole = Buffer.from(bytes);
    const metadata = metadataOf(whole);
    const structural = (random: RandomStream) => {
      const file = Buffer.from(whole);
      for (let changes = 1 + random.below(3); changes > 0; changes--) {
        const [start, length] = oneOf(random, metadata);
        file[start + random.below(length)] = oneOf(random, [0, 1, 4, 8, 127, 255, random.below(256)]);
      }
      return file;
    };
    return { whole, structural, read: readTable };
  });
}

/** Start and length of the metadata of each message: each begins with the mark 0xFFFFFFFF, on a multiple of 8 bytes. */
function metadataOf(file: Buffer): [number, number][] {
  const found: [number, number][] = [];
  for (let at = 0; at + 8 <= file.length; at += 8) {
    if (file.readInt32LE(at) === -1 && file.readInt32LE(at + 4) > 0) found.push([at + 8, file.readInt32LE(at + 4)]);
  }
  return found;
}

function vecsSeeds(): Seed[] {
  const vecs = (values: Float32Array | Int32Array, width: number, claimed: (row: number) => number) => {
    const out = Buffer.alloc((values.length / width) * 4 * (width + 1));
    for (let row = 0; row * width < values.length; row++) {
      const at = row * 4 * (width + 1);
      out.writeInt32LE(claimed(row) | 0, at);
      bytesOf(values).copy(out, at + 4, row * width * 4, (row + 1) * width * 4);
    }
    return out;
  };
  const seed = (values: Float32Array | Int32Array, width: number, read: Seed['read']): Seed => ({
    whole: vecs(values, width, () => width),
    structural: (random) => {
      const [wrong, size] = [
        random.below(values.length / width),
        oneOf(random, [0, -1, 1, width + 1, 2 ** 20, 2 ** 31 - 1]),
      ];
      const everywhere = random.below(3) === 0;
      return vecs(values, width, (row) => (everywhere || row === wrong ? size : width));
    },
    read,
  });
  return [seed(floats, dim, readFeatures), seed(ids, 4, readGraph)];
}

function textSeed(read: Seed['read']): (text: string) => Seed {
  return (text) => ({
    whole: Buffer.from(text),
    structural: (random) => {
      const lines = text.split('\n');
      for (let changes = 1 + random.below(3); changes > 0; changes--) {
        const at = random.below(lines.length);
        lines[at] = oneOf(random, lineChanges)(random, lines[at]);
      }
      const end = oneOf(random, ['\n', '\n', '\r\n', '\r', '\n\n', '\0']);
      const joined = lines.join(end);
      return oneOf(random, [
        Buffer.from(joined),
        Buffer.from(`\ufeff${joined}`),
        Buffer.from(`\ufeff${joined}`, 'utf16le'),
      ]);
    },
    read,
  });
}

const lineChanges: readonly ((random: RandomStream, line: string) => string)[] = [
  (random, line) => withOtherNumber(random, line),
  () => '',
  (_, line) => `"${line}`,
  (_, line) => `"${line}"`,
  (random, line) => line + oneOf(random, [',', ';', '\t', ' ', '"', '""', '\n']).repeat(1 + random.below(3000)),
  (_, line) => line.repeat(40),
  (random) => String.fromCodePoint(...Array.from({ length: 20 }, () => random.below(0xd7ff))),
  (random) => '9'.repeat(1 + random.below(3000)),
  (random) => `${'1'.repeat(1 + random.below(400))}.${'0'.repeat(random.below(400))}e${random.below(400)}`,
];

function tableSeeds(): Seed[] {
  const table = (between: string) =>
    ['path', 'identity', 'note'].join(between) +
    Array.from({ length: 20 }, (_, i) => `\n${[`"a ${i}.jpg"`, i % 5, '"say ""x""\n"'].join(between)}`).join('');
  return [
    textSeed(readLabels)(table(',')),
    textSeed((path) => readLabels(`${path}:identity`))(table(';')),
    textSeed((path) => readLabels(`${path}:2`))(table('\t')),
  ];
}

function itemSeeds(): Seed[] {
  const names = Array.from({ length: 30 }, (_, i) => `folder ${i % 3}/img, "${i}".jpg`);
  return [
    textSeed(readNames)(names.join('\n')),
    textSeed(readNames)(['item,label', ...names.map((name, i) => `"${name.replaceAll('"', '""')}",${i}`)].join('\n')),
    textSeed((path) => readNames(`${path}:item`))(['item;label', ...names.map((_, i) => `${i};${i}`)].join('\n')),
  ];
}

async function safetensorsSeeds(path: string): Promise<Seed[]> {
  await writeModel(path, smoothedDistanceModel(8, [4, 3]));
  const model = readFileSync(path);
  const dataStart = 8 + Number(model.readBigUInt64LE());
  const ofModel = JSON.parse(model.subarray(8, dataStart).toString()) as unknown;
  const ofArrays = {
    labels: {
      dtype: 'I32',
      shape: [4 * rows],
      data_offsets: [floats.byteLength + ids.byteLength, floats.byteLength + 2 * ids.byteLength],
    },
    embs: { dtype: 'F32', shape: [rows, dim], data_offsets: [0, floats.byteLength] },
    knn: { dtype: 'I32', shape: [rows, 4], data_offsets: [floats.byteLength, floats.byteLength + ids.byteLength] },
  };
  const seed = (header: unknown, data: Buffer, read: Seed['read']): Seed => ({
    whole: safetensorsOf(header, data),
    structural: (random) =>
      random.below(3) === 0
        ? safetensorsOf(withOtherNumber(random, JSON.stringify(header)), data)
        : safetensorsOf(withOtherValue(random, header), data),
    read,
  });
  const data = Buffer.concat([bytesOf(floats), bytesOf(ids), bytesOf(ids)]);
  return [
    seed(ofModel, model.subarray(dataStart), readModel),
    seed(ofArrays, data, readFeatures),
    seed(ofArrays, data, readGraph),
    seed(ofArrays, data, readLabels),
  ];
}

/** Opcodes that containers, names and calls are made by, and some that nobody needs. */
const opcodes = Buffer.from('().01235678aehjqrstuX]}lNR\x81\x85\x86\x87\x88\x89\x8a\x90\x91\x93\x94\x95b', 'latin1');

function checkpointSeeds(): Seed[] {
  const zip = readFileSync(join(fixtures, 'zip.ckpt'));
  const legacy = readFileSync(join(fixtures, 'legacy_dataparallel.ckpt'));
  const members = storedMembers(zip);
  const otherPickle = (random: RandomStream, pickle: Buffer): Buffer => {
    const other = Buffer.from(damaged(random, pickle, legacy));
    for (let changes = random.below(4); changes > 0 && other.length > 0; changes--) {
      const at = random.below(other.length);
      other.fill(oneOf(random, [...opcodes]), at, Math.min(other.length, at + oneOf(random, [1, 1, 1, 2, 500])));
    }
    return other;
  };
  return [
    {
      whole: zip,
      structural: (random) => otherArchive(random, members, ({ data }) => otherPickle(random, data)),
      read: importCheckpoint,
    },
    {
      whole: legacy,
      structural: (random) => Buffer.concat([otherPickle(random, legacy.subarray(0, 1500)), legacy.subarray(1500)]),
      read: importCheckpoint,
    },
  ];
}

/** Members of an archive without compression, by their local headers. */
function storedMembers(zip: Buffer): Member[] {
  const members: Member[] = [];
  for (let at = zip.indexOf('PK\x01\x02'); at >= 0; at = zip.indexOf('PK\x01\x02', at + 4)) {
    const [size, local] = [zip.readUInt32LE(at + 20), zip.readUInt32LE(at + 42)];
    const name = zip.toString('utf8', at + 46, at + 46 + zip.readUInt16LE(at + 28));
    const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    members.push({ name, data: zip.subarray(start, start + size) });
  }
  return members;
}

function journalSeed(): Seed {
  const checks = [
    { file: 'a.rows', start: 0, length: 64, crc: 5 },
    { file: 's.column', bytes: 4, rowBytes: 4, sum: 9 },
  ];
  const header = workHeader({
    identity: { k1: 20, features: 'ab' },
    nodes: 1000,
    shards: 8,
    precision: 'f32' as const,
    stages: [['project', 0] as const],
    files: ['a.rows', 's.column'],
  });
  const shards = Array.from({ length: 8 }, (_, shard) => ({ stage: 'project', round: 0, shard, checks }));
  const records: unknown[] = [
    [header, { seen: { features: '1 2 3' } }],
    shards.slice(0, 3),
    shards.slice(3),
    [{ finished: 'now' }],
  ];
  return {
    whole: journalOf(records),
    structural: (random) => {
      const text = JSON.stringify(records);
      const other = random.below(3) === 0 ? parsed(withOtherNumber(random, text)) : withOtherValue(random, records);
      return journalOf(Array.isArray(other) ? other : [other]);
    },
    read: async (path) => readWork(join(path, '..')),
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

async function trainingSeed(path: string): Promise<Seed> {
  const identity = { head: 'pairwise', seed: 1, settings: { lr: 0.1 } };
  const tensors = new Map([
    ['a', Float32Array.of(1, 2, 3)],
    ['b', Float32Array.of(4)],
  ]);
  await writeCheckpoint(path, { identity, state: { step: 3, losses: [1, 2] }, tensors });
  const whole = readFileSync(path);
  const dataStart = 8 + Number(whole.readBigUInt64LE());
  const header = JSON.parse(whole.subarray(8, dataStart).toString()) as Record<string, Record<string, string>>;
  const data = whole.subarray(dataStart);
  return {
    whole,
    structural: (random) => {
      if (random.below(3) === 0) return safetensorsOf(withOtherValue(random, header), data);
      // With a checksum that is right.
      const { identity: was, state } = header.__metadata__;
      const changed = random.below(2) ? [was, otherText(random, state)] : [otherText(random, was), state];
      const hash = createHash('sha256').update(JSON.stringify(changed));
      for (const [name, values] of tensors) hash.update(`\n${name} ${values.length}\n`).update(bytesOf(values));
      const metadata = { ...header.__metadata__, identity: changed[0], state: changed[1], sha256: hash.digest('hex') };
      return safetensorsOf({ ...header, __metadata__: metadata }, data);
    },
    read: async (file) => readCheckpoint(file, identity),
  };
}

function otherText(random: RandomStream, json: string): string {
  return random.below(3) === 0
    ? withOtherNumber(random, json)
    : (JSON.stringify(withOtherValue(random, JSON.parse(json))) ?? '');
}

const yamlPieces = [
  '[',
  '{',
  '- ',
  '? ',
  ': ',
  '&a ',
  '*a ',
  '!t ',
  '"',
  "'",
  '|\n ',
  '>\n',
  '#',
  '---\n',
  '...\n',
  '%YAML 1.2\n',
  '\t',
  '<<: ',
  'a: ',
];

function configSeeds(): Seed[] {
  const texts = [
    readFileSync(join('config', 'naan-paper.yaml'), 'utf8'),
    readFileSync(join('config', 'default.yaml'), 'utf8'),
  ];
  const flags = { features: 'F', knn: 'K', model: 'M', out: 'O' };
  return texts.map((text) => ({
    whole: Buffer.from(text),
    structural: (random) => {
      let other = text;
      for (let changes = 1 + random.below(4); changes > 0; changes--) {
        const at = random.below(other.length + 1);
        const piece = oneOf(random, yamlPieces).repeat(oneOf(random, [1, 1, 2, 60, 3000]));
        other = random.below(3) === 0 ? withOtherNumber(random, other) : other.slice(0, at) + piece + other.slice(at);
      }
      return Buffer.from(other);
    },
    read: (config) => resolve('label', { flags: { ...flags, config }, environment: {} }),
  }));
}

const imageCount = 6;
const recordList = Array.from({ length: imageCount }, (_, i) => `${i + 1}\t${i % 2}\tfolder/${i}.jpg`).join('\n');

/** Records of some images, one of which holds the magic of the framing; `change` makes others of their bytes before framing. */
function recordFile(change = (record: Buffer, _key: number): Buffer => record): { whole: Buffer; index: string } {
  const pieces: Buffer[] = [];
  const positions: number[] = [];
  let length = 0;
  for (let key = 0; key <= imageCount + 1; key++) {
    const isRange = key === 0 || key > imageCount;
    const image = Buffer.concat([
      imageHeader(key, key % 2),
      Buffer.alloc(40 + key, key === 3 ? '\x0a#\xd7\xce' : key, 'latin1'),
    ]);
    const record = isRange ? rangeHeader(key, imageCount + 1, imageCount + 2) : image;
    positions.push(length);
    for (const piece of framed(change(record, key))) {
      pieces.push(piece);
      length += piece.length;
    }
  }
  return { whole: Buffer.concat(pieces), index: positions.map((position, key) => `${key}\t${position}`).join('\n') };
}

function recordSeed(): Seed {
  return {
    whole: recordFile().whole,
    structural: (random) => {
      const chosen = random.below(imageCount + 2);
      return recordFile((record, key) => (key === chosen ? damaged(random, record, record) : record)).whole;
    },
    read: readRecords,
  };
}

/** Reads all images and names of a record file as `extract` does; of its three files those that are not given are whole. */
async function readRecords(given: string): Promise<void> {
  const { whole, index } = recordFile();
  const files = { rec: whole, idx: index, lst: recordList };
  const place = (ending: string) => join(dirname(given), `x.${ending}`);
  for (const [ending, content] of Object.entries(files))
    if (place(ending) !== given) writeFileSync(place(ending), content);
  const path = place('rec');
  const { positions } = await findRecords(path);
  await namesOfRecords(path);
  const fd = openInput(path);
  try {
    for (const position of positions) readImageRecord(fd, path, position);
  } catch (error) {
    // The reason why an image is left out, which becomes a line of the list of such images.
    if (error instanceof NaanError || (error as Error).constructor !== Error) throw error;
    throw new NaanError('BAD_INPUT', (error as Error).message);
  } finally {
    closeSync(fd);
  }
}

function decisionSeed(): Seed {
  const decisions: unknown[] = [
    { kind: 'same', items: ['a', 'b', 'c'] },
    { kind: 'same', items: ['a', 'd'] },
    { kind: 'different', items: ['a', 7] },
    { kind: 'name', items: ['b'], name: 'Ann' },
    { kind: 'undo', undoes: '1' },
  ].map((content, i) => ({ id: String(i + 1), time: '2026-01-01T00:00:00.000Z', ...content }));
  const lines = (all: readonly unknown[]) => Buffer.from(all.map((one) => `${JSON.stringify(one)}\n`).join(''));
  const ofText = textSeed(readDecisions)(lines(decisions).toString());
  return {
    ...ofText,
    structural: (random) => {
      if (random.below(2) === 0) return ofText.structural(random);
      const other = withOtherValue(random, decisions);
      return lines(Array.isArray(other) ? other : [other]);
    },
  };
}

const clusterLines = `cluster,size,cohesion,separation,weakest_join,trust\n${Array.from({ length: 30 }, (_, i) => `${i},${1 + (i % 4)},${i % 4 ? `0.${i},0.1,0.${i}` : ',0.2,'},0.${i}\n`).join('')}`;
