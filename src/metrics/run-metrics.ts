import { Registry } from 'prom-client';
import type { DeviceReading } from '../devices/devices.js';
import type { RunObserver, ShardStates, StartedBackend, WatchedRun } from '../engine/run-observer.js';
import type { CoordinatorObserver, TaskObserver } from '../machines/task-observer.js';
import type { ProgressEvent } from '../progress.js';
import type { TrainingObserver, TrainingSteps } from '../training/observer.js';
import type { TrainingReport } from '../training/trained.js';
import { addDeviceMetrics } from './devices.js';
import { addBuildInfo, addProcessMetrics, type BuildInfo } from './process.js';
import { addRunMetrics } from './run.js';
import { addShardMetrics } from './shards.js';
import { addStageMetrics } from './stages.js';
import { addCoordinatorMetrics, addTaskMetrics } from './tasks.js';
import { addTrainingMetrics, type TrainingRecorder } from './training.js';
import { addWorkMetrics } from './work.js';
import { addWorkerMetrics } from './workers.js';

/**
 * Prometheus metrics of one run of any command. Progress, times and memory are there from the start; work, shards and workers
 * appear when labelling starts, training with its first step, and tasks of a queue when they are asked for.
 */
export class RunMetrics implements RunObserver, TrainingObserver {
  readonly registry = new Registry();
  readonly shards: (states: ShardStates) => void;
  /** Called once, at the end. */
  readonly end: (succeeded: boolean) => void;
  private readonly stages = addStageMetrics(this.registry);
  private readonly tellBuild = addBuildInfo(this.registry);
  private build: BuildInfo;
  private training: TrainingRecorder | undefined;

  constructor(command: string) {
    this.build = { command };
    this.tellBuild(this.build);
    addProcessMetrics(this.registry);
    this.end = addRunMetrics(this.registry);
    this.shards = (states) => {
      this.recordShards ??= addShardMetrics(this.registry);
      this.recordShards(states);
    };
  }

  private readonly watched: DeviceReading[] = [];
  private recordShards: ((states: ShardStates) => void) | undefined;

  progress(event: ProgressEvent): void {
    this.stages.progress(event);
  }

  stageDone(stage: string, seconds: number, busy: number): void {
    this.stages.done(stage, seconds, busy);
  }

  start({ head, counters, devices = [] }: WatchedRun): void {
    this.build = { ...this.build, head };
    this.tellBuild(this.build);
    addWorkMetrics(this.registry, counters);
    addWorkerMetrics(this.registry, counters);
    if (devices.length > 0) this.devices(devices);
  }

  /** Called when devices are about to start; those of several stages are counted together. */
  devices(readings: readonly DeviceReading[]): void {
    if (this.watched.length === 0) addDeviceMetrics(this.registry, this.watched);
    this.watched.push(...readings);
  }

  backend({ backend, simd }: StartedBackend): void {
    this.build = { ...this.build, backend, simd };
    this.tellBuild(this.build);
  }

  trains(head: string): void {
    this.build = { ...this.build, head };
    this.tellBuild(this.build);
  }

  steps(done: TrainingSteps): void {
    this.ofTraining().steps(done);
  }

  report(report: TrainingReport): void {
    this.ofTraining().report(report);
  }

  /** Called once, by a worker of a queue. */
  works(): TaskObserver {
    return addTaskMetrics(this.registry);
  }

  /** Called once, by the coordinator of a queue. */
  coordinates(): CoordinatorObserver {
    return addCoordinatorMetrics(this.registry);
  }

  private ofTraining(): TrainingRecorder {
    this.training ??= addTrainingMetrics(this.registry);
    return this.training;
  }
}
