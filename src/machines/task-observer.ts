/** Whoever watches tasks that a queue hands out. This room knows the type alone, and nothing else of metrics. */

/** `repeated`: its shard had been computed already, as its worker was taken for dead. */
export type TaskResult = 'done' | 'failed' | 'repeated';

export interface TaskEnding {
  readonly stage: string;
  readonly result: TaskResult;
  /** From the moment a worker took it. */
  readonly seconds: number;
  /** Bytes of segments. */
  readonly bytes: number;
}

/** A worker tells of its own tasks, the coordinator of those of all. */
export interface TaskObserver {
  task(ending: TaskEnding): void;
  /** Redis has answered. */
  contact(): void;
}

export interface QueueState {
  readonly waiting: number;
  readonly active: number;
  /** Undefined where Redis does not say. */
  readonly workers?: number | undefined;
}

export interface CoordinatorObserver extends TaskObserver {
  queue(state: QueueState): void;
  /** So many workers are gone without having said that they leave. */
  lost(workers: number): void;
}
