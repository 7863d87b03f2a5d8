/** How a long job tells its caller where it stands. Called at most a few times a second, on the main thread. */
export interface ProgressEvent {
  /** Stage in the field's words: `knn`, `edges`, `project`, `aggregate`, `embed`, `score`, `propagate`, `write`. */
  readonly stage: string;
  /** Done and total in `unit`s. */
  readonly done: number;
  readonly total: number;
  readonly unit: 'nodes' | 'edges' | 'rows' | 'bytes';
}

export type ProgressListener = (event: ProgressEvent) => void;
