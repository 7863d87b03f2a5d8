/** Reports of a long job to its caller. Called at most a few times a second, on the main thread. */
export interface ProgressEvent {
  /** The stage at work, such as `read`, `knn`, `edges`, a part of the head (`project` … `score`), `train`, `tune` or `assign`. */
  readonly stage: string;
  /** Done and total in `unit`s; a stage that cannot say how far it is has one step. */
  readonly done: number;
  readonly total: number;
  /** The part done before this run began, when it resumes an earlier one; default 0. */
  readonly from?: number;
  readonly unit: 'nodes' | 'edges' | 'rows' | 'bytes' | 'pairs' | 'runs' | 'images' | 'steps' | 'seconds';
}

export type ProgressListener = (event: ProgressEvent) => void;

/** The change of stages at a progress event: the one that has ended because another began, and the one that began. */
export interface StageChange {
  readonly ended?: { readonly stage: string; readonly seconds: number };
  readonly began: string;
}

/** Seconds of each stage, as its progress tells: a stage ends when another begins, or the job. */
export class StageTimes {
  private readonly ended = new Map<string, number>();
  private stage: string | undefined;
  private began = 0;

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** The change of stage that this event is, if it is one. */
  update({ stage }: ProgressEvent): StageChange | undefined {
    if (stage === this.stage) return undefined;
    const ended = this.end();
    this.stage = stage;
    this.began = this.now();
    return { began: stage, ...(ended && { ended }) };
  }

  /** Ends the stage that runs, as the job has ended. */
  end(): StageChange['ended'] {
    if (this.stage === undefined) return undefined;
    const { stage } = this;
    const seconds = this.secondsOfCurrent();
    this.ended.set(stage, (this.ended.get(stage) ?? 0) + seconds);
    this.stage = undefined;
    return { stage, seconds };
  }

  /** Seconds of each stage so far. */
  seconds(): Record<string, number> {
    const all = new Map(this.ended);
    if (this.stage !== undefined) all.set(this.stage, (all.get(this.stage) ?? 0) + this.secondsOfCurrent());
    return Object.fromEntries(all);
  }

  private secondsOfCurrent(): number {
    return (this.now() - this.began) / 1000;
  }
}
