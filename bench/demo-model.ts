/**
 * Makes the demo's model: the constructed scorer, with the threshold that gives the best BCubed F on the labelled split.
 *
 *     node dist/bench/demo-model.js FOLDER     reads FOLDER/labeled, writes FOLDER/model.safetensors
 */
import { join } from 'node:path';
import { label } from '../src/engine/label.js';
import { sweep } from '../src/evaluation/sweep.js';
import { edgesFromPairs } from '../src/graph/candidate-edges.js';
import { locateFeatures } from '../src/io/features.js';
import { writeModel } from '../src/model/model-file.js';
import { smoothedDistanceModel } from './smoothed-distance-model.js';

const folder = process.argv[2];
const features = join(folder, 'labeled/split0_feats.npz');
const { location, labels: truth } = await locateFeatures(features);
if (!truth || location.kind !== 'file') throw new Error(`${features} has no labels`);

const model = smoothedDistanceModel(location.dim, [5, 5]);
const { edges } = await label({ features, knn: join(folder, 'labeled/split0_knn.npy'), model, saveEdges: true });
if (!edges) throw new Error('label kept no edges');
const { edges: graph, place } = edgesFromPairs(location.rowCount, edges.pairs);
const scores = new Float32Array(place.length);
for (let e = 0; e < place.length; e++) scores[place[e]] = edges.scores[e];
const points = sweep(graph, scores, { truth });
const best = points.reduce((a, b) => ((b.bcubed?.f ?? 0) > (a.bcubed?.f ?? 0) ? b : a));

const path = join(folder, 'model.safetensors');
await writeModel(path, { ...model, config: { ...model.config, threshold: best.threshold } });
console.log(`threshold ${best.threshold.toFixed(2)} gives BCubed F ${best.bcubed?.f.toFixed(4)} on the labelled split`);
console.log(path);
