import { Gauge, type Registry } from 'prom-client';
import type { ShardStates } from '../engine/run-observer.js';

/** Returns the recorder of shard states. */
export function addShardMetrics(registry: Registry): (states: ShardStates) => void {
  const shards = new Gauge({
    name: 'naan_shards',
    help: 'Shard tasks of the stage that runs, by state; retried counts tasks that failed once.',
    labelNames: ['state'],
    registers: [registry],
  });
  return (states) => {
    for (const [state, value] of Object.entries(states)) shards.set({ state }, value);
  };
}
