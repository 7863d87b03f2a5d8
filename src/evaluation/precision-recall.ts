/** Precision, recall, and their harmonic mean F; each from 0 to 1. */
export interface PrecisionRecall {
  readonly precision: number;
  readonly recall: number;
  readonly f: number;
}

/** `correct` of `found` and of `wanted`. A part of nothing is 0, not NaN. */
export function precisionRecall(precision: number, recall: number): PrecisionRecall {
  return { precision, recall, f: ratio(2 * precision * recall, precision + recall) };
}

export function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}
