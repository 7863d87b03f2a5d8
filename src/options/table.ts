/**
 * Every option of every command: the one place that names it and gives its unit, default, help and schema.
 * Flags, help, `NAAN_*` names, the keys of a config file and docs/options.md all follow from this table.
 */
import { backendNames, onnxProviders } from '../backends/names.js';
import { mostRounds, partitions } from '../cluster/names.js';
import {
  concatTrainingDefaults as concat,
  generateDefaults,
  knnDefaults,
  labelDefaults,
  pairwiseTrainingDefaults,
  partitionDefaults,
  trainedHeads,
  trainingDefaults,
} from '../defaults.js';
import { maxThreads } from '../execution/threads.js';
import { channelOrders, defaultBatch, presetNames, presets } from '../extraction/presets.js';
import { shells } from './names.js';
import {
  byteCount,
  choice,
  decimal,
  decimalList,
  flag,
  integer,
  integerList,
  integerOrAuto,
  integerPair,
  name,
  type Option,
  type Options,
  path,
  paths,
  seconds,
  text,
  type Values,
} from './option.js';

interface Command {
  readonly summary: string;
  /** The inputs and outputs of the command, printed once above its options. */
  readonly description: string;
  readonly examples: readonly (readonly [command: string, comment: string])[];
  readonly options: Options;
}

/** Neighbours of a row: a graph with longer lists is none. */
const longestList = 2 ** 20;

const features = paths({
  unit: 'files',
  required: true,
  help: 'features [n × d]: .npy, .npz or safetensors (embs, or FILE:NAME), Parquet, Arrow, CSV or JSON Lines (FILE:COLUMN), .fvecs, or raw float32 with --dim; several files, in the order in which they are given, or by a quoted pattern, "part-*.npy", in that of their numbers; - is the standard input',
});

const dim = integer({
  unit: 'values per row',
  min: 1,
  max: 65536,
  otherwise: 'read from the file',
  help: 'values per row of the features; a raw float32 file does not say',
});

const threads = integer({
  unit: 'threads',
  min: 1,
  max: maxThreads,
  otherwise: 'one per core',
  help: 'worker threads, at most 32 or, where that is more, four a core; the result does not depend on it',
});

const memory = byteCount({
  otherwise: 'most of what is free',
  help: 'memory that the run may take; it decides before it starts how rows are kept, and refuses what cannot fit',
});

const knn = path({
  unit: 'file',
  required: true,
  help: "kNN graph [n × (k+1)] of integers: .npy, .npz (knn, learn-to-cluster's data, faiss's I, or FILE:NAME), .ivecs",
});

const duplicates = choice(['collapse', 'keep'], {
  default: 'collapse',
  help: 'of rows that are equal to the bit, work on one and let the others go with it, or take each by itself; more copies than neighbours cut their row off from all others',
});

const badRows = choice(['refuse', 'skip'], {
  default: 'refuse',
  help: 'rows of zeros, and rows with a NaN or an infinity, are refused, or left out: they are in no list and get label -1',
});

const graphCheck = choice(['refuse', 'skip'], {
  default: 'refuse',
  help: 'a kNN graph whose lists, in a sample, are no nearer than other rows is refused as one of other features, or not looked at',
});

/** Options of long commands for Prometheus: a port to scrape, or a file or a gateway that outlast the run. */
const watching = {
  metricsPort: integer({
    unit: 'port',
    min: 0,
    max: 65535,
    otherwise: 'not served',
    help: 'serve Prometheus metrics while the run lasts; 0 takes a free port',
  }),
  metricsHost: text(
    {
      unit: 'address',
      otherwise: '127.0.0.1: this machine alone',
      expected: 'a host name or an address of this machine',
      help: 'where metrics are served; others than this machine read them without a password',
    },
    /^[\w.:-]+$/,
  ),
  metricsFile: path({
    unit: 'file',
    otherwise: 'not written',
    help: "metrics for node_exporter's textfile collector (.prom), written every few seconds and at the end, a failure's included",
  }),
  metricsPush: text(
    {
      unit: 'URL',
      otherwise: 'not pushed',
      expected: 'the address of a Pushgateway without a name or password in it, such as http://127.0.0.1:9091',
      help: 'push metrics to a Pushgateway, every few seconds and at the end; counts and times, nothing of the set',
    },
    /^https?:\/\/[^\s/@]+(\/\S*)?$/,
  ),
};

/** Options of commands that go on from a run. */
const goingOn = {
  run: path({ unit: 'folder', required: true, help: 'what naan label, add or remove wrote (--out)' }),
  out: path({
    unit: 'folder',
    required: true,
    help: 'folder of the new run, which must not be there yet, or be empty; it needs nothing of the one before',
  }),
  known: path({
    unit: 'file',
    otherwise: 'as run.json says',
    help: 'features of the run, where they lie elsewhere now',
  }),
  knn: path({ unit: 'file', otherwise: 'as run.json says', help: 'kNN graph of the run' }),
  model: path({ unit: 'file', otherwise: 'as run.json says', help: 'model of the run' }),
};

const maxRanks = 65_536;

const cluster = text(
  {
    unit: 'files | address',
    otherwise: 'this machine alone',
    expected: 'files, or the address of a Redis such as redis://user@host:6379/0 or rediss://host, without a password',
    help: 'share the run with other machines that see --work-dir: files for --ranks that are started together, or the address of a Redis for naan worker processes that come and go',
  },
  /^(files|rediss?:\/\/[^\s/?#]+(\/\d*)?)$/,
);

/** Options of `--cluster files`; rank 0 writes the result. `counted`: when the number of ranks is given. */
function ranksFor(result: string, counted = 'with --cluster files: how many processes there are') {
  return {
    rank: integer({
      unit: 'number',
      min: 0,
      max: maxRanks - 1,
      otherwise: 'none',
      help: `with --cluster files: which of the ranks this process is, from 0; rank 0 writes ${result}`,
    }),
    ranks: integer({
      unit: 'processes',
      min: 1,
      max: maxRanks,
      otherwise: 'none',
      help: counted,
    }),
  };
}

/** Secrets and certificates for a Redis; NAAN_CLUSTER_PASSWORD has the password. */
const redis = {
  clusterPasswordFile: path({
    unit: 'file',
    otherwise: 'NAAN_CLUSTER_PASSWORD, or none',
    help: 'file whose first line is the password for the address in --cluster',
  }),
  clusterCa: path({
    unit: 'file',
    otherwise: 'those of Node',
    help: 'certificates (PEM) by which a server at rediss:// is known',
  }),
};

const redisAddress = text(
  {
    unit: 'address',
    required: true,
    expected: 'the address of a Redis such as redis://user@host:6379/0 or rediss://host, without a password',
    help: 'the Redis by which the coordinator, naan label --cluster or naan knn --cluster, hands out work',
  },
  /^rediss?:\/\/[^\s/?#]+(\/\d*)?$/,
);

const threshold = decimal({
  unit: 'score',
  min: 0,
  max: 1,
  otherwise: 'the one calibrated with the model for the partition; 0.8 with a model that is not calibrated',
  help: 'edges of this score or more join their ends',
});

const images = path({
  unit: 'folder',
  otherwise: 'names alone',
  help: 'folder that items lie in, where they are paths of images: contact sheets, with thumbnails where the package sharp is installed, else links',
});

/** Options for decisions that people have made about rows. */
const decisions = {
  constraints: path({
    unit: 'file',
    otherwise: 'none',
    help: 'decisions (decisions.jsonl, docs/workflow.md): rows that are one identity, rows that are not, and names; every partition honours all of them',
  }),
  cannotLinkWithin: path({
    unit: 'file',
    otherwise: 'none',
    help: 'column of the items file, or FILE:COLUMN, such as photo_id: rows of one value are different identities; -1 is no value',
  }),
};

/** Options for the edges and scores that `label --save-edges` has kept. */
const savedScores = {
  edges: path({
    unit: 'file',
    required: true,
    help: 'candidate edges [E × 2]: .npy, or .npz (edges, or FILE:NAME)',
  }),
  scores: path({ unit: 'file', required: true, help: 'their scores [E]: .npy, or .npz (scores, or FILE:NAME)' }),
};

/** The options of the partition `propagation`. */
const ladder = {
  step: decimal({
    unit: 'fraction',
    min: 0,
    max: 1,
    default: partitionDefaults.step,
    help: 'propagation: each round moves the threshold this far towards 1',
  }),
  maxSize: integer({
    unit: 'nodes',
    min: 1,
    max: 2 ** 31 - 1,
    default: partitionDefaults.maxSize,
    help: 'propagation: a larger component is cut again',
  }),
  maxIterations: integer({
    unit: 'rounds',
    min: 1,
    max: mostRounds,
    default: partitionDefaults.maxIterations,
    help: 'propagation: rounds before what is left is final',
  }),
  start: choice(['threshold', 'all'], {
    default: partitionDefaults.start,
    help: 'propagation: cut the first round at --threshold, or let it use every edge (as published)',
  }),
  leftovers: choice(['components', 'merge'], {
    default: partitionDefaults.leftovers,
    help: 'propagation: what is left at the end stays components, or becomes one cluster (as published)',
  }),
};

const model = path({
  unit: 'file',
  otherwise: 'the general model that comes with naan',
  help: 'model, as written by naan train or naan import-model (.safetensors)',
});

const overwrite = flag({ help: 'replace files that are there already and that naan cannot tell it wrote' });

/** Options for the number of neighbours that labelling looks at. */
const hops = {
  kHops: integerPair({
    unit: 'neighbours of hop one and hop two',
    min: 1,
    max: longestList,
    otherwise: '20 10, or what the model was trained with if that is fewer',
    help: 'neighbours that attention looks at',
  }),
  sampleHops: integer({
    unit: 'neighbours',
    min: 1,
    max: longestList,
    otherwise: '20, or what the model was trained with if that is fewer',
    help: 'candidate edges go to this many nearest neighbours',
  }),
};

/** Options for the clusters that are left out. */
const leavingOut = {
  minSize: integer({
    unit: 'rows',
    min: 1,
    max: 2 ** 31 - 1,
    otherwise: 'none is left out',
    help: 'rows of smaller clusters get label -1; 2 leaves out rows that are alone',
  }),
  minTrust: decimal({
    unit: 'score',
    min: -1,
    max: 1,
    otherwise: 'none is left out',
    help: "rows of clusters of less trust, the mean of their rows' margins as in clusters.csv, get label -1",
  }),
};

/** Options for the back-end and its threads. */
const computing = {
  backend: choice(['auto', ...backendNames], {
    default: 'auto',
    help: 'what computes: SIMD kernels on the CPU (native), ONNX Runtime on a --provider (onnx), TensorFlow.js (tfjs), or slow plain loops (reference)',
  }),
  provider: choice(['auto', ...onnxProviders], {
    default: 'auto',
    help: 'onnx: where ONNX Runtime computes; auto takes a GPU if there is one, else the CPU',
  }),
  devices: integerList({
    unit: 'device numbers',
    min: 0,
    max: 1023,
    otherwise: '0',
    help: 'GPUs to use, as CUDA numbers them; worker threads are spread over them',
  }),
};

/** The default of an option of training that both heads have. */
function byHead(name: keyof typeof pairwiseTrainingDefaults): string {
  return `${concat[name]} (concat), ${pairwiseTrainingDefaults[name]} (pairwise)`;
}

/** Options that every command has. */
export const commonOptions = {
  json: flag({ help: 'print one JSON object on stdout instead of text; an error is one on stderr' }),
  config: path({
    unit: 'file',
    otherwise: 'none',
    help: 'YAML file of options, the name of a preset such as naan-paper, or a run.json to run again; the environment and flags win over it',
  }),
  quiet: flag({ help: 'no progress and no warnings on stderr' }),
  logLevel: choice(['trace', 'debug', 'info', 'warn', 'error', 'silent'], {
    otherwise: 'warn, or info with --log-format json',
    help: 'least level logged on stderr; info also tells when stages begin and end, debug shows stack traces',
  }),
  logFormat: choice(['text', 'json'], {
    default: 'text',
    help: 'lines on stderr as text, or each as one JSON object with time, level, event and what belongs to it',
  }),
  progressFile: path({
    unit: 'file',
    otherwise: 'not written',
    help: 'where the run stands, as JSON: stage, percent, seconds left, and at the end how it ended',
  }),
} satisfies Options;

export const commands = {
  generate: {
    summary: 'make a synthetic set with known identities',
    description:
      'Writes labeled/split0_{feats.npz,knn.npy} and unlabeled/split1_{feats.npz,knn.npy,labels.txt} to --out. ' +
      'The two splits share no identity. The same seed gives the same bytes.',
    examples: [['naan generate --out faces --ids 1000 --dim 512 --k 80 --seed 1', 'a set to try things on']],
    options: {
      out: path({ unit: 'folder', required: true, help: 'folder to write to' }),
      overwrite,
      ids: integer({
        unit: 'identities',
        min: 1,
        max: 50_000_000,
        otherwise: '1000',
        help: 'identities in each split',
      }),
      nodes: integer({
        unit: 'rows',
        min: 2,
        max: 2 ** 31 - 1,
        otherwise: 'as --ids gives',
        help: 'rows in each split, in place of --ids',
      }),
      labeledIds: integer({
        unit: 'identities',
        min: 0,
        max: 50_000_000,
        otherwise: 'as many as in the other',
        help: 'identities in the labelled split; 0 leaves that split out',
      }),
      dim: integer({
        unit: 'values per row',
        min: 2,
        max: 65536,
        default: generateDefaults.dim,
        help: 'dimension of the features',
      }),
      k: integer({
        unit: 'neighbours',
        min: 1,
        max: longestList,
        default: generateDefaults.k,
        help: 'neighbours in each kNN list, the node itself not counted',
      }),
      seed: integer({
        unit: 'number',
        min: 0,
        max: 2 ** 32 - 1,
        default: generateDefaults.seed,
        help: 'seed of the random numbers',
      }),
      shuffle: flag({ help: 'rows in random order rather than by identity' }),
      plantedKnn: flag({
        help: 'derive the kNN graph from how the set is made, in time linear in its rows, not by exact search',
      }),
      threads,
    },
  },
  extract: {
    summary: 'make embeddings of images with an ONNX recogniser',
    description:
      'Runs images through a recogniser that you bring and writes --out: features.npy, a row for each image that could be ' +
      'read, items.csv, their names in the same order, failed.csv, what could not be read and why, and run.json. Faces are ' +
      'expected to be aligned to the input of the model. Input and layout are read from the model, pixels are scaled by ' +
      '--preset. A run that is cut off goes on by the same command. Images are decoded by the package sharp.',
    examples: [
      ['naan extract --images faces --model w600k_r50.onnx --out embeddings', 'a folder tree; ArcFace of insightface'],
      ['naan label --features embeddings/features.npy --items embeddings/items.csv ...', 'what it is for'],
      ['naan extract --images train.rec --model M --flip --out DIR', 'records of MXNet; image and mirror image'],
    ],
    options: {
      images: path({
        unit: 'file',
        required: true,
        help: 'a folder with images anywhere below it; a list of image files, in the forms of --items of naan label; or train.rec of insightface, with train.idx beside it',
      }),
      model: path({
        unit: 'file',
        required: true,
        help: 'recogniser (.onnx): one float32 input [n, 3, height, width] or [n, height, width, 3], an embedding an image',
      }),
      out: path({ unit: 'folder', required: true, help: 'folder to make, which must not be there yet, or be empty' }),
      root: path({
        unit: 'folder',
        otherwise: 'the working directory',
        help: 'folder that relative names of a list lie in',
      }),
      preset: choice(presetNames, {
        default: 'arcface',
        help: 'how the model wants pixels: arcface, of insightface (RGB, (v - 127.5) / 127.5), adaface (the same in BGR), facenet (RGB, (v - 127.5) / 128), raw (RGB, 0 to 255)',
      }),
      channels: choice(channelOrders, { otherwise: 'as --preset says', help: 'order of the channels' }),
      mean: decimal({ unit: 'of 255', otherwise: 'as --preset says', help: 'is taken from each value of a pixel' }),
      std: decimal({
        unit: 'of 255',
        min: 1e-6,
        otherwise: 'as --preset says',
        help: 'divides what is left then',
      }),
      size: integerPair({
        unit: 'pixels, height and width',
        min: 1,
        max: 4096,
        otherwise: `read from the model, or ${presets.arcface.size.join(' ')} (facenet: ${presets.facenet.size.join(' ')})`,
        help: 'size of the input, for a model that takes any',
      }),
      flip: flag({ help: 'take the mean of the embeddings of each image and its mirror image' }),
      output: name({
        unit: 'name',
        otherwise: 'the only one, or the only one with two axes',
        help: 'name of the output of the model that is the embedding',
      }),
      batch: integer({
        unit: 'images',
        min: 1,
        max: 4096,
        default: defaultBatch,
        help: 'images that go through the model at once, where it leaves that open',
      }),
      threads,
      provider: choice(onnxProviders, {
        default: 'cpu',
        help: 'where ONNX Runtime runs the model; naan doctor says what a machine has',
      }),
      restart: flag({ help: 'give up what a run that was cut off has left, and start anew' }),
      ...watching,
    },
  },
  knn: {
    summary: 'find the nearest neighbours of every row',
    description:
      'Writes int32 ids [n × (k + 1)] by falling cosine, column 0 the row itself. An approximate graph is measured against ' +
      'exact search on sampled rows and made again with more effort, at last exactly, until --min-recall is met.',
    examples: [
      ['naan knn --features split1_feats.npz --out split1_knn.npy --k 80', 'the graph that naan label reads'],
      ['naan knn --features F --out K --k 20 --method ivf --min-recall 0.999', 'approximate, with few misses'],
      ['naan knn --features F --out K --backend onnx --provider cuda', 'exact, on a GPU'],
      [
        'naan knn --features F --out K --work-dir W --cluster redis://host --ranks 4',
        'this process and three of naan worker',
      ],
    ],
    options: {
      features,
      out: path({ unit: 'file', required: true, help: 'kNN file to write (.npy)' }),
      overwrite,
      k: integer({
        unit: 'neighbours',
        min: 1,
        max: longestList,
        otherwise: '80, or all others of a smaller set',
        help: 'neighbours per row, the row itself not counted',
      }),
      method: choice(['auto', 'exact', 'ivf', 'hnsw'], {
        default: 'auto',
        help:
          'compare all rows (exact), or those whose cells are near (ivf), or walk a graph of them (hnsw: needs the package ' +
          'usearch, and the result may differ from run to run); auto is exact for small sets, else ivf',
      }),
      minRecall: decimal({
        unit: 'share',
        min: 0.1,
        max: 1,
        default: knnDefaults.minRecall,
        help: 'share of the true neighbours that an approximate graph must hold, measured on a sample; 1 makes auto exact',
      }),
      duplicates,
      badRows,
      dim,
      threads,
      memory,
      ...computing,
      batch: integer({
        unit: 'rows',
        min: 1,
        max: 65_536,
        default: labelDefaults.batch,
        help: 'rows that a device compares with all others at once',
      }),
      deviceMemory: byteCount({
        otherwise: 'half of what is free on an NVIDIA GPU, 1 GiB on other devices',
        help: "rows that stay in a device's memory for the whole search; the others are uploaded for each batch",
      }),
      workDir: path({
        unit: 'folder',
        otherwise: 'nothing is kept',
        help: 'keep what an approximate search has found so far in files here: after a crash the same command goes on where it stopped',
      }),
      restart: flag({ help: 'give up the search that --work-dir holds and start anew' }),
      cluster,
      ...ranksFor(
        'the graph',
        'with --cluster: how many processes share the search, by ivf; with a Redis this one and naan worker processes, one for ' +
          'each of the others',
      ),
      ...redis,
      ...watching,
    },
  },
  train: {
    summary: 'train a model on a labelled set',
    description:
      'Learns from features with known identities to tell whether two neighbours are one identity, and writes a model for ' +
      'naan label to --out, with train.json and train.svg (its history) beside it. Identities held out choose the ' +
      'partition and threshold that naan label takes. A run that is cut off goes on with --resume.',
    examples: [
      ['naan train --features split0_feats.npz --knn split0_knn.npy --out model.safetensors', ''],
      ['naan train --head concat --features F --knn K --labels L --out M', 'the published network'],
      [
        'naan train --features F --items N --knn K --decisions labels/decisions.jsonl --out M',
        'from what people decided in naan review, without labels',
      ],
      ['naan train ... --resume', 'go on after a crash or Ctrl-C: the model is the same to the bit'],
    ],
    options: {
      features,
      dim,
      labels: path({
        unit: 'file',
        otherwise: 'labels of the feature file',
        help: 'identity of each row, any name, -1 where not known: one a line, a column of a table (FILE:COLUMN), .npy, or .npz (labels, or FILE:NAME)',
      }),
      decisions: path({
        unit: 'file',
        otherwise: 'none',
        help: 'decisions (decisions.jsonl, docs/workflow.md) to learn from, beside labels or without any; pairs of which they say nothing are left out. pairwise alone',
      }),
      items: path({
        unit: 'file',
        otherwise: 'names beside the features',
        help: 'names of the rows, as for naan label, by which decisions name them',
      }),
      model: path({
        unit: 'file',
        otherwise: 'the general model that comes with naan',
        help: 'with decisions: the model before, whose agreement with them is told beside that of the new one',
      }),
      knn,
      graphCheck,
      out: path({ unit: 'file', required: true, help: 'model to write (.safetensors)' }),
      overwrite,
      head: choice(trainedHeads, {
        default: trainingDefaults.head,
        help: 'what scores a pair: how the neighbourhoods of its ends overlap, or its two embeddings, as published',
      }),
      kHops: integerPair({
        unit: 'neighbours of hop one and hop two',
        min: 1,
        max: longestList,
        otherwise: `${concat.kHops.join(' ')} as published, or what the graph has`,
        help: 'concat: neighbours that attention looks at in training; the model is labelled with 20 10 at most',
      }),
      sampleHops: integer({
        unit: 'neighbours',
        min: 1,
        max: longestList,
        otherwise: `${byHead('sampleHops')}, or what the graph has`,
        help: 'pairs go to this many nearest neighbours in training; the model is labelled with 20 at most',
      }),
      heads: integer({ unit: 'heads', min: 1, max: 64, otherwise: `${concat.heads}`, help: 'concat: attention heads' }),
      alpha: decimal({
        unit: 'slope',
        otherwise: `${concat.alpha}`,
        help: 'concat: of LeakyReLU below zero in attention',
      }),
      lr: decimal({ unit: 'per step', min: 0, otherwise: byHead('lr'), help: 'learning rate of Adam at the start' }),
      lrDecay: decimal({
        unit: 'factor',
        min: 0,
        max: 1,
        otherwise: `${concat.lrDecay}`,
        help: 'concat: the learning rate is multiplied by this after each epoch',
      }),
      weightDecay: decimal({
        unit: 'per step',
        min: 0,
        otherwise: byHead('weightDecay'),
        help: 'decay of the parameters: L2 as published for concat, decoupled from Adam for pairwise',
      }),
      clip: decimal({
        unit: 'norm',
        min: 0,
        otherwise: `${concat.clip}`,
        help: 'concat: a gradient of all parameters longer than this is cut to it',
      }),
      dropout: decimal({
        unit: 'share',
        min: 0,
        max: 0.99,
        otherwise: `${concat.dropout}`,
        help: 'concat: attention entries dropped at random in each step',
      }),
      batch: integer({
        unit: 'nodes (concat) or pairs (pairwise)',
        min: 2,
        max: 65_536,
        otherwise: byHead('batch'),
        help: 'a step takes the candidate pairs within a block of so many nodes, or so many pairs',
      }),
      epochs: integer({
        unit: 'epochs',
        min: 1,
        max: 100_000,
        otherwise: byHead('epochs'),
        help: 'passes over the set: at most so many, or so many for each network of pairwise',
      }),
      passes: integer({
        unit: 'passes',
        min: 1,
        max: 100_000,
        otherwise: `${concat.passes}`,
        help: 'concat: an epoch is this many passes over the nodes, each cut into other blocks',
      }),
      validation: decimal({
        unit: 'share',
        min: 0,
        max: 0.9,
        otherwise: byHead('validation'),
        help: 'identities held out to choose the partition and its threshold by: once for concat (0 for none), in folds that take turns for pairwise',
      }),
      seed: integer({
        unit: 'number',
        min: 0,
        max: 2 ** 32 - 1,
        default: trainingDefaults.seed,
        help: 'seed of the random numbers',
      }),
      checkpointEvery: integer({
        unit: 'steps',
        min: 1,
        max: 2 ** 31 - 1,
        otherwise: `${trainingDefaults.checkpointEvery}, pairwise more for many pairs`,
        help: 'steps between checkpoints (MODEL.checkpoint); one is written at Ctrl-C as well',
      }),
      resume: flag({ help: 'go on from the checkpoint of a run that was cut off, if there is one' }),
      history: path({
        unit: 'file',
        otherwise: 'train.json beside the model',
        help: 'history of the run (.json); a plot (.svg) gets the same name',
      }),
      threads,
      memory: byteCount({
        otherwise: 'most of what is free',
        help: 'memory that the run may take; what it will take is told before it starts, and what cannot fit is refused',
      }),
      ...watching,
    },
  },
  label: {
    summary: 'give every row a pseudo-label',
    description:
      'Finds the kNN graph of the features, or takes the one that is given, scores its candidate edges with a trained model and ' +
      'turns the scores into clusters. For features ' +
      'split1_feats.npz it writes split1_labels.txt, split1_labels.npy, clusters.csv, report.html and run.json to --out; -1 marks ' +
      'a row without candidate edges.',
    examples: [
      ['naan label --features feats.npy --model model.safetensors --out labels', 'the graph is found first'],
      ['naan label --features split1_feats.npz --knn split1_knn.npy --model model.safetensors --out labels', ''],
      ['naan label --config config/naan-paper.yaml --features F --knn K --model M --out DIR', 'as published'],
      ['naan label --items paths.txt ...', 'also labels.csv: the label of each path'],
      ['NAAN_THREADS=4 naan label ... --metrics-port 9464', 'four threads, watched by Prometheus'],
    ],
    options: {
      features,
      dim,
      knn: path({
        unit: 'file',
        otherwise: 'found first: exactly for small sets, else with a measured recall of 0.99',
        help: knn.help,
      }),
      saveKnn: path({
        unit: 'file',
        otherwise: 'not kept',
        help: 'without --knn: keep the graph that is found (.npy), for another run with --knn',
      }),
      graphCheck,
      duplicates,
      badRows,
      model,
      items: paths({
        unit: 'files',
        otherwise: 'the items, paths or ids beside the features, if there are any',
        help: 'names of the rows, such as image paths: a list of one a line, a column of a table (FILE:COLUMN), JSON Lines, or an array; several files and -, as for the features; with them labels.csv says the label of each name',
      }),
      out: path({ unit: 'folder', required: true, help: 'folder to write to' }),
      overwrite,
      ...hops,
      partition: choice(partitions, {
        otherwise: 'the one calibrated with the model, or propagation',
        help: 'how scores become clusters: agglomeration by mean score (linkage), components at one threshold, or a ladder of thresholds (propagation)',
      }),
      threshold,
      ...ladder,
      ...decisions,
      previous: path({
        unit: 'folder',
        otherwise: 'labels are numbered anew',
        help: 'an earlier run (--out) whose identities are kept: matched by the rows that they share, by name; changes.csv says what was kept, split, merged, new and gone',
      }),
      ...leavingOut,
      saveEdges: flag({ help: 'also write the candidate edges and their scores (_edges.npy, _scores.npy)' }),
      trust: flag({
        default: true,
        help: 'write how sure each cluster is (clusters.csv: cohesion, separation, weakest join, trust) and each row (_margins.npy)',
      }),
      report: flag({ default: true, help: 'write report.html, one page about the run that needs nothing else' }),
      images,
      threads,
      shards: integerOrAuto({
        unit: 'shards',
        min: 1,
        max: 65_536,
        default: 'auto',
        help: 'pieces that the graph is cut into; the result does not depend on it',
      }),
      batch: integer({
        unit: 'nodes',
        min: 1,
        max: 65_536,
        default: labelDefaults.batch,
        help: 'nodes gathered and multiplied at once',
      }),
      memory,
      precision: choice(['auto', 'f32', 'bf16'], {
        default: 'auto',
        help: 'how rows are stored between stages: bf16 halves memory and disk and moves scores by some thousandths; auto takes f32 where it fits in memory',
      }),
      workDir: path({
        unit: 'folder',
        otherwise: 'rows stay in memory',
        help: 'keep rows and finished shards in files here: after a crash the same command goes on where it stopped',
      }),
      restart: flag({ help: 'give up the run that --work-dir holds and start anew' }),
      cluster,
      ...ranksFor('the labels'),
      ...redis,
      ...computing,
      ...watching,
    },
  },
  assign: {
    summary: 'name new rows by the identities of a run',
    description:
      'Gives each new row the nearest identity of a labelled run, by the model, or none where none is near enough, and changes ' +
      'nothing of the run. Each row is looked at by itself, so a stream may come in any portions. Writes a table ' +
      'item,label,nearness,margin: -1 is a new identity, nearness is compared with the threshold, and the margin is how much ' +
      'nearer the identity is than the next one. The run needs its features, model and kNN graph (naan label --knn or --save-knn).',
    examples: [['naan assign --run labels --features new.npy --out assigned.csv', '']],
    options: {
      run: path({ unit: 'folder', required: true, help: 'what naan label wrote (--out)' }),
      features,
      dim,
      items: paths({
        unit: 'files',
        otherwise: 'the items, paths or ids beside the features, or numbers of rows',
        help: 'names of the new rows, as for naan label',
      }),
      known: goingOn.known,
      knn: goingOn.knn,
      model: goingOn.model,
      threshold: decimal({
        unit: 'score',
        min: 0,
        max: 1,
        otherwise: 'that of the run',
        help: 'a row less near than this to every identity is new',
      }),
      out: path({ unit: 'file', required: true, help: 'table to write (.csv)' }),
      overwrite,
      threads,
    },
  },
  add: {
    summary: 'add rows to a labelled set',
    description:
      'Writes a new run of the rows of a run and new ones behind them. New rows are compared with all, lists of others change where a ' +
      'new row is nearer, and only edges that this touches are scored; labels are those of a labelling of all rows with that graph, ' +
      'numbered as before (changes.csv). The new run holds features, names, graph and scores, so that it can be gone on from. The first ' +
      'naan add to what naan label wrote scores all edges. The run needs its features, model and kNN graph (naan label --knn or --save-knn).',
    examples: [['naan add --run labels --features new.npy --items new.txt --out labels-2', '']],
    options: {
      ...goingOn,
      features,
      dim,
      items: paths({
        unit: 'files',
        otherwise: 'the items, paths or ids beside the features, if there are any',
        help: 'names of the new rows, as for naan label; needed where the run has names',
      }),
      constraints: path({ ...decisions.constraints, otherwise: 'those of the run', help: decisions.constraints.help }),
      cannotLinkWithin: decisions.cannotLinkWithin,
      threads,
    },
  },
  remove: {
    summary: 'remove rows from a labelled set',
    description:
      'Writes a new run without the rows of some names. Lists that named them are filled up by comparison with all rows, and only edges ' +
      'that this touches are scored; labels are numbered as before. Nothing of the rows is in the new run: neither in features, names, ' +
      'graph, scores and labels, nor in decisions, which go on to hold between others. The run before and what lies beside it stay as they ' +
      'are: delete them.',
    examples: [['naan remove --run labels --items gone.txt --out labels-2', '']],
    options: {
      ...goingOn,
      dim,
      items: path({
        unit: 'file',
        required: true,
        help: 'names of the rows to remove, as in labels.csv, in the forms of --items of naan label; numbers of rows from 0 where the run has no names',
      }),
      constraints: path({ ...decisions.constraints, otherwise: 'those of the run', help: decisions.constraints.help }),
      cannotLinkWithin: decisions.cannotLinkWithin,
      threads,
    },
  },
  tune: {
    summary: 'find the settings of label that suit this machine and a set',
    description:
      'Times naan label on a sample of the set with other threads, batches, shards and precision than its own, the best of them again ' +
      'and again beside the defaults, until one is shown to be faster, none is, or --budget is spent: then it says that it cannot tell. ' +
      'Writes the choice to --out for naan label --config, with a map of all that were timed (.svg) beside it. Prints ' +
      'what limits this machine and how long the whole set should take. Labels do not depend on the setting, but for ' +
      'precision: bf16 moves scores by some thousandths, and is chosen only where it is faster by 10 %.',
    examples: [
      ['naan tune --features split1_feats.npz --knn split1_knn.npy --model model.safetensors', ''],
      ['naan label --config config/tuned.yaml --features F --knn K --model M --out DIR', 'what it is for'],
      ['naan tune ... --budget 5min --check', 'a longer search, then the whole set to check the prediction'],
    ],
    options: {
      features,
      dim,
      knn,
      model,
      out: path({
        unit: 'file',
        default: 'config/tuned.yaml',
        help: 'settings to write (.yaml); a map (.svg) gets the same name',
      }),
      overwrite,
      budget: seconds({
        min: 1,
        default: 60,
        help: 'time of the search, as 90, 90s or 2min; a run that is under way then is finished',
      }),
      check: flag({
        help: 'label the whole set afterwards, writing nothing, and compare its time with the prediction',
      }),
      ...hops,
      ...computing,
    },
  },
  worker: {
    summary: 'compute shards of runs that other machines share',
    description:
      'Takes shards of any run that naan label --cluster announces at the same Redis, or a rank of one of naan knn, and computes them ' +
      'in the work directory of the run, which must be at the same path here, as must its inputs. Workers may come and go while a run lasts. Ctrl-C and SIGTERM hand ' +
      'back what was begun. Needs the optional packages bullmq and ioredis.',
    examples: [
      ['naan worker --cluster redis://host', 'works until it is stopped'],
      ['naan worker --cluster redis://host --runs 1', 'ends with the run'],
    ],
    options: {
      cluster: redisAddress,
      ...redis,
      threads,
      memory: byteCount({ otherwise: 'most of what is free', help: 'memory that the worker may take' }),
      runs: integer({
        unit: 'runs',
        min: 1,
        max: 1_000_000,
        otherwise: 'it works until it is stopped',
        help: 'end after so many runs',
      }),
      ...watching,
    },
  },
  cancel: {
    summary: 'stop a run that machines share by a Redis',
    description:
      'Asks the coordinator and the workers of a run to stop. The work directory stays: the same command goes on.',
    examples: [['naan cancel work --cluster redis://host', '']],
    options: {
      workDir: path({ unit: 'folder', required: true, positional: true, help: 'the --work-dir of the run' }),
      cluster: redisAddress,
      ...redis,
    },
  },
  status: {
    summary: 'say where a run with a work directory stands',
    description:
      'Reads what naan label or naan knn --work-dir keeps; the run may be working, stopped or finished. Of a run that ranks share it ' +
      'says where each rank stands.',
    examples: [['naan status work', '']],
    options: {
      workDir: path({ unit: 'folder', required: true, positional: true, help: 'the --work-dir of the run' }),
    },
  },
  report: {
    summary: 'show a labelled run on one page',
    description:
      'Writes report.html to the folder of a run: sizes of clusters, the curve over thresholds, trust, scores, stages, notices, ' +
      'inputs and options, and contact sheets of the largest, the least trusted and random clusters. The page is one file that ' +
      'loads nothing. Of a run that left something out it shows what there is.',
    examples: [
      ['naan report labels', 'labels is the --out of naan label'],
      ['naan report labels --truth truth.csv --images faces', 'against the truth, with images'],
    ],
    options: {
      run: path({ unit: 'folder', required: true, positional: true, help: 'what naan label wrote (--out)' }),
      truth: path({
        unit: 'file',
        otherwise: 'sizes only',
        help: 'true identities, as for naan evaluate, matched by the names of the rows where both have them',
      }),
      images,
      out: path({ unit: 'file', otherwise: 'report.html in the folder of the run', help: 'page to write (.html)' }),
      overwrite,
    },
  },
  review: {
    summary: 'judge clusters on a local page',
    description:
      'Serves a page on 127.0.0.1, behind a random token, to judge the clusters of a run by keys: the least trusted first, ' +
      'suggested merges side by side, suggested splits. Each decision is appended to decisions.jsonl at once, which ' +
      'naan label --constraints and naan cut --constraints honour. Best after naan label --save-edges. Ctrl-C ends it.',
    examples: [
      ['naan review labels --images faces', 'labels is the --out of naan label; open the address that it prints'],
      ['naan label ... --constraints labels/decisions.jsonl', 'label again, as was decided'],
    ],
    options: {
      run: path({ unit: 'folder', required: true, positional: true, help: 'what naan label wrote (--out)' }),
      images: path({
        unit: 'folder',
        otherwise: 'names alone',
        help: 'folder that items lie in, where they are paths of images; no file outside of it is shown',
      }),
      decisions: path({
        unit: 'file',
        otherwise: 'decisions.jsonl in the folder of the run',
        help: 'decisions to go on with and to append to',
      }),
      port: integer({ unit: 'port', min: 0, max: 65535, default: 0, help: 'port of the page; 0 takes a free one' }),
    },
  },
  diff: {
    summary: 'say what differs between two runs',
    description:
      'Compares two folders that naan label wrote: options, inputs by their digests, results, and clusters: how many are the same, parted ' +
      'and joined, with the largest as examples. Rows are matched by name where both runs have names, else by number.',
    examples: [['naan diff labels labels-strict', '']],
    options: {
      before: path({ unit: 'folder', required: true, positional: true, help: 'the --out of one run' }),
      after: path({ unit: 'folder', required: true, positional: true, help: 'the --out of the other' }),
    },
  },
  export: {
    summary: 'write the labelled set as what trainers read',
    description:
      'Turns labels and names of rows, as naan label --items writes them, into a data set: a folder a class (imagefolder), ' +
      "MXNet's lists and records as insightface trains ArcFace from them (lst, rec), WebDataset archives (webdataset), or lists " +
      '(csv, jsonl, parquet; filelist: path and label a line). Labels run from --offset on without a gap. Beside the set there is a list ' +
      'item,label and manifest.json, with what was left out and why, and digests. --out appears when all of it is written; the ' +
      'same run gives the same set.',
    examples: [
      ['naan export --run labels --root faces --to imagefolder --out set', 'links: no image is copied'],
      [
        'naan export --run labels --root faces --to rec --out set --min-size 5 --split 0.05',
        'records of clusters of 5 or more, 5 % of them to validate with',
      ],
      [
        'naan export --run labels --merge known.csv --to csv --out set',
        'known identities first, pseudo-labels behind them',
      ],
    ],
    options: {
      run: path({
        unit: 'folder',
        required: true,
        help: 'what naan label wrote (--out), with the names of its rows; or a table with the titles item,label',
      }),
      to: choice(['imagefolder', 'lst', 'rec', 'webdataset', 'csv', 'jsonl', 'parquet', 'filelist'], {
        required: true,
        help: 'form of the set',
      }),
      out: path({ unit: 'folder', required: true, help: 'folder to make, which must not be there yet, or be empty' }),
      items: path({
        unit: 'file',
        otherwise: 'labels.csv of the run',
        help: 'names of the rows, for a run that was labelled without; as for naan label',
      }),
      root: path({
        unit: 'folder',
        otherwise: 'the working directory',
        help: 'folder that the images lie in, where items are relative paths',
      }),
      files: choice(['link', 'copy', 'plan'], {
        default: 'link',
        help: 'imagefolder: links to the images, copies of them, or only a list of what would go where',
      }),
      minSize: integer({
        unit: 'images',
        min: 1,
        default: 2,
        help: 'clusters of fewer images are left out; 1 keeps images that are alone. Merged identities all stay',
      }),
      minTrust: decimal({
        unit: 'score',
        min: -1,
        max: 1,
        otherwise: 'none is left out',
        help: 'clusters of less trust, as clusters.csv of the run has it, are left out; naan evaluate --clusters and report.html show what that does',
      }),
      maxPerIdentity: integer({
        unit: 'images',
        min: 1,
        otherwise: 'all',
        help: 'of an identity only so many images, the first ones',
      }),
      offset: integer({
        unit: 'label',
        min: 0,
        max: 2 ** 31 - 1,
        default: 0,
        help: 'the first label, such as the number of identities of a set that this one is to follow',
      }),
      merge: path({
        unit: 'file',
        otherwise: 'none',
        help: 'labelled set to join with, a table with the titles item,label: its identities come first, and its images stay theirs',
      }),
      split: decimal({
        unit: 'share',
        min: 0,
        max: 0.9,
        default: 0,
        help: 'identities that go to val, chosen by a hash of their name; no identity is in both',
      }),
    },
  },
  evaluate: {
    summary: 'compare labels with the truth',
    description:
      'BCubed, pairwise, NMI and purity, of all rows and of those not alone in their cluster. Where both files name their ' +
      'rows (tables with the titles item,label) rows are matched by name, in any order; else row i is row i.',
    examples: [
      ['naan evaluate --labels labels/labels.csv --truth truth.csv', 'matched by the name of each row'],
      ['naan evaluate --labels labels/split1_labels.txt --truth split1_labels.txt', ''],
      ['naan evaluate --labels L --truth T --json | jq .all.bcubed.f', 'one number'],
      [
        'naan evaluate --labels labels/labels.csv --truth truth.csv --clusters labels/clusters.csv',
        'what --min-trust would keep',
      ],
    ],
    options: {
      labels: path({
        unit: 'file',
        required: true,
        help: 'labels to judge, any names: one a line, a column of a table (FILE:COLUMN), .npy, or .npz (labels, or FILE:NAME)',
      }),
      truth: path({
        unit: 'file',
        otherwise: 'needed, unless --clean-out is all that is wanted',
        help: 'true identities, same forms',
      }),
      clusters: path({
        unit: 'file',
        otherwise: 'no curve',
        help: 'clusters.csv of the run: also precision, recall and share of rows kept at each --min-trust, over those rows alone',
      }),
      unlabelled: choice(['alone', 'cluster', 'drop'], {
        default: 'alone',
        help: 'rows labelled -1 count as clusters of one, as one cluster together (as published), or not at all',
      }),
      cleanOut: path({
        unit: 'file',
        otherwise: 'not written',
        help: 'also write labels to train on: singletons become -1, numbers are renumbered, names kept',
      }),
      overwrite,
    },
  },
  sweep: {
    summary: 'try every threshold on one scoring',
    description: 'Clusters at each threshold from the edges and scores of naan label --save-edges.',
    examples: [
      ['naan sweep --edges split1_edges.npy --scores split1_scores.npy --truth split1_labels.txt', ''],
      ['naan sweep --partition linkage --edges E --scores S --truth T', 'by the partition that the labels will have'],
    ],
    options: {
      ...savedScores,
      truth: path({
        unit: 'file',
        otherwise: 'sizes only',
        help: 'true identities, as for naan evaluate, for BCubed and pairwise',
      }),
      partition: choice(partitions, {
        default: 'threshold',
        help: 'how scores become clusters, as for naan label; linkage as in the run whose run.json lies beside the scores',
      }),
      ...ladder,
      plot: path({
        unit: 'file',
        otherwise: 'bars in the table',
        help: 'also draw the curve, on a page that loads nothing (.html)',
      }),
      overwrite,
    },
  },
  cut: {
    summary: 'cut scores that were kept into clusters again',
    description:
      'Clusters from the edges and scores of naan label --save-edges, by any partition and threshold: what naan label would ' +
      'have given with them, without scoring again.',
    examples: [
      ['naan cut --edges split1_edges.npy --scores split1_scores.npy --threshold 0.5 --out strict.txt', ''],
      ['naan cut ... --threshold 0.4,0.5,0.6 --out cut.txt', 'cut-0.4.txt, cut-0.5.txt and cut-0.6.txt'],
    ],
    options: {
      ...savedScores,
      rows: integer({
        unit: 'rows',
        min: 1,
        max: 2 ** 31 - 1,
        otherwise: 'as many as items, or up to the last row that an edge names',
        help: 'rows of the features; one that no edge names gets label -1',
      }),
      threshold: decimalList({
        unit: 'score',
        min: 0,
        max: 1,
        required: true,
        help: 'edges of this score or more join their ends; several give labels at each, in files of their own',
      }),
      partition: choice(partitions, {
        default: partitions[0],
        help: 'how scores become clusters, as for naan label; linkage as in the run whose run.json lies beside the scores',
      }),
      ...ladder,
      items: path({
        unit: 'file',
        otherwise: 'rows have no names',
        help: 'names of the rows, as for naan label, by which decisions name them',
      }),
      ...decisions,
      ...leavingOut,
      out: path({ unit: 'file', required: true, help: 'labels to write, one integer a line' }),
      overwrite,
    },
  },
  'import-model': {
    summary: 'convert a published checkpoint',
    description:
      'Reads a NAAN .ckpt as PyTorch saves it (zip or legacy format) and writes one .safetensors file. ' +
      'Nothing in the checkpoint is executed.',
    examples: [['naan import-model model.ckpt --out model.safetensors', '']],
    options: {
      checkpoint: path({ unit: 'file', required: true, positional: true, help: 'checkpoint to read (.ckpt)' }),
      out: path({ unit: 'file', required: true, help: 'model to write (.safetensors)' }),
      overwrite,
    },
  },
  completion: {
    summary: 'print a script that completes commands and options in a shell',
    description:
      'For bash, zsh or fish: to be put where the shell looks for completions, or read by it when it starts.',
    examples: [
      ['naan completion bash > /etc/bash_completion.d/naan', ''],
      ['source <(naan completion zsh)', 'in ~/.zshrc'],
    ],
    options: {
      shell: choice(shells, { required: true, positional: true, help: 'the shell' }),
    },
  },
  doctor: {
    summary: 'say what this machine has and how fast it is',
    description:
      'Lists cores, memory, GPUs and the packages that use them, measures every back-end that starts here, says why the ' +
      'others do not and what they need, and names the one that naan label takes by itself.',
    examples: [['naan doctor', 'about ten seconds']],
    options: { threads },
  },
} satisfies Record<string, Command>;

export type CommandName = keyof typeof commands;

/** The values that each command gets once its options are resolved. */
export type CommandValues = {
  [C in CommandName]: Values<(typeof commands)[C]['options'] & typeof commonOptions>;
};

/** The options of a command in the order of its help, the common ones last. */
export function optionsOf(command: CommandName): Options {
  return { ...commands[command].options, ...commonOptions };
}

/** Default and unit as a reader sees them: `[nodes, default: 600]`. */
export function defaultOf(option: Option): string {
  if (option.required) return 'required';
  if (option.default === undefined) return option.otherwise ?? '';
  if (typeof option.default === 'boolean') return option.default ? 'yes' : 'no';
  return Array.isArray(option.default) ? option.default.join(' ') : String(option.default);
}
