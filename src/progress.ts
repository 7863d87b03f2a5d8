/** How a long job tells its caller where it stands. Called at most a few times a second, on the main thread. */
export interface ProgressEvent {
  /** What is being done, such as `read`, `knn`, `edges`, a part of the head (`project` … `score`), `train`, `tune` or `assign`. */
  readonly stage: string;
  /** Done and total in `unit`s. */
  readonly done: number;
  readonly total: number;
  /** What was done before this run began, when it goes on with an earlier one; default 0. */
  readonly from?: number;
  readonly unit: 'nodes' | 'edges' | 'rows' | 'bytes' | 'pairs' | 'runs' | 'images';
}

export type ProgressListener = (event: ProgressEvent) => void;
