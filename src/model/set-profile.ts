/** A set in a few numbers, as a model keeps them of the one that it was trained on; `engine/set-profile.ts` finds them. */

export const setMeasures = ['cosines', 'degrees', 'scores'] as const;

/** Nine deciles each, rising: cosines to the nearest neighbour, candidate edges of a node, scores of edges. */
export type SetProfile = Readonly<Record<(typeof setMeasures)[number], readonly number[]>>;

export function isSetProfile(value: Readonly<Record<string, unknown>>): boolean {
  return setMeasures.every((name) => {
    const deciles = value[name];
    if (!Array.isArray(deciles) || deciles.length !== 9) return false;
    return deciles.every((x, i) => Number.isFinite(x) && (i === 0 || x >= deciles[i - 1]));
  });
}
