import { Counter, Gauge, type Registry } from 'prom-client';
import type { CoordinatorObserver, QueueState, TaskObserver } from '../machines/task-observer.js';

/** Counters of one worker, and of all as the coordinator hears of them: another name, so that no sum counts a task twice. */
const names = {
  worker: {
    tasks: 'naan_tasks_total',
    seconds: 'naan_task_seconds_total',
    bytes: 'naan_task_written_bytes_total',
    of: 'this worker',
  },
  coordinator: {
    tasks: 'naan_cluster_tasks_total',
    seconds: 'naan_cluster_task_seconds_total',
    bytes: 'naan_cluster_written_bytes_total',
    of: 'all workers of the run',
  },
} as const;

/** Prometheus metrics of the tasks that a worker takes from a queue. */
export function addTaskMetrics(registry: Registry, who: keyof typeof names = 'worker'): TaskObserver {
  const registers = [registry];
  const { of, ...name } = names[who];
  const tasks = new Counter({
    name: name.tasks,
    help: `Tasks of ${of}: done, failed, or repeated, whose shard had been computed already.`,
    labelNames: ['stage', 'result'],
    registers,
  });
  const seconds = new Counter({
    name: name.seconds,
    help: `Seconds that ${of} spent on tasks, which run side by side on its threads.`,
    labelNames: ['stage'],
    registers,
  });
  const bytes = new Counter({
    name: name.bytes,
    help: `Bytes of segments that ${of} wrote.`,
    labelNames: ['stage'],
    registers,
  });
  const contact = new Gauge({
    name: 'naan_cluster_contact_time_seconds',
    help: 'When Redis last answered, Unix time.',
    registers,
  });
  return {
    task(ending) {
      const { stage, result } = ending;
      tasks.inc({ stage, result });
      seconds.inc({ stage }, ending.seconds);
      bytes.inc({ stage }, ending.bytes);
    },
    contact() {
      contact.set(Date.now() / 1000);
    },
  };
}

/** The same of all workers of a run, and the queue, at the coordinator. */
export function addCoordinatorMetrics(registry: Registry): CoordinatorObserver {
  const registers = [registry];
  const observer = addTaskMetrics(registry, 'coordinator');
  const queued = new Gauge({
    name: 'naan_cluster_queue',
    help: 'Tasks of the stage that runs: waiting for a worker, or active at one.',
    labelNames: ['state'],
    registers,
  });
  const connected = new Gauge({
    name: 'naan_cluster_workers',
    help: 'Workers that are connected to the queue of the run.',
    registers,
  });
  const lost = new Counter({
    name: 'naan_cluster_workers_lost_total',
    help: 'Workers that are gone without having been stopped.',
    registers,
  });
  const queue = ({ waiting, active, workers }: QueueState) => {
    queued.set({ state: 'waiting' }, waiting);
    queued.set({ state: 'active' }, active);
    if (workers !== undefined) connected.set(workers);
  };
  queue({ waiting: 0, active: 0 });
  return { ...observer, queue, lost: (workers) => lost.inc(workers) };
}
