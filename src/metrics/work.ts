import { Counter, type Registry } from 'prom-client';
import type { Counters } from '../execution/counters.js';

/** Work done so far. Read from shared memory when scraped, so that counting costs the workers nothing more. */
export function addWorkMetrics(registry: Registry, counters: Counters): void {
  const registers = [registry];
  new Counter({
    name: 'naan_nodes_total',
    help: 'Nodes that a stage has finished.',
    labelNames: ['stage'],
    registers,
    collect() {
      this.reset();
      for (const stage of counters.stages) this.inc({ stage }, counters.total(stage));
    },
  });
  new Counter({
    name: 'naan_edges_scored_total',
    help: 'Candidate edges scored.',
    registers,
    collect() {
      this.reset();
      this.inc(counters.total('edgesScored'));
    },
  });
  new Counter({
    name: 'naan_unions_total',
    help: 'Unions that joined two components.',
    registers,
    collect() {
      this.reset();
      this.inc(counters.total('unions'));
    },
  });
  new Counter({
    name: 'naan_halo_rows_total',
    help: 'Rows that tiles gathered from around them: unique rows of each tile.',
    registers,
    collect() {
      this.reset();
      this.inc(counters.total('rowsGathered'));
    },
  });
}
