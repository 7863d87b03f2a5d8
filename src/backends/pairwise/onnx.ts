/**
 * The stages on ONNX Runtime: on its CPU provider, which `native` is for this head, or on a device. Weights are constants of
 * the graphs; a stage uploads the features of its edges once and downloads their logits once.
 */
import type { RoundNetworks } from '../../model/round-network.js';
import type { BackendOptions, PairwiseBackend, TileCapacity } from '../backend.js';
import type { BackendName, OnnxProvider } from '../names.js';
import { onProvider, paddedSize } from '../onnx-sessions.js';
import { pairwiseLayout, roundOf } from '../stages.js';
import { allocateTile } from '../tile.js';
import { RoundNetwork, rowsAtLeast } from './network.js';

export async function createNative(networks: RoundNetworks, capacity: TileCapacity): Promise<PairwiseBackend> {
  return start('native', 'cpu', 0, networks, capacity);
}

export async function createOnnx(
  networks: RoundNetworks,
  capacity: TileCapacity,
  { provider = 'cpu', device = 0 }: BackendOptions,
): Promise<PairwiseBackend> {
  return { ...(await start('onnx', provider, device, networks, capacity)), provider };
}

async function start(
  name: BackendName,
  provider: OnnxProvider,
  device: number,
  { rounds }: RoundNetworks,
  capacity: TileCapacity,
): Promise<PairwiseBackend> {
  const edges = Math.max(capacity.edges, rowsAtLeast);
  const tile = allocateTile(pairwiseLayout({ rounds }, { ...capacity, edges }));
  const opened = await onProvider(provider, device, async (options) => {
    const size = provider === 'tensorrt' ? edges : 'rows';
    const networks: RoundNetwork[] = [];
    for (const parameters of rounds) networks.push(await RoundNetwork.create(parameters, options, size));
    return networks;
  });
  return {
    name,
    tile,
    run(stage, count) {
      const size = provider === 'cpu' ? count : paddedSize(count, edges, provider);
      return opened[roundOf(stage)].run(size, tile.features, tile.logits);
    },
    async release() {
      for (const network of opened) await network.release();
    },
  };
}
