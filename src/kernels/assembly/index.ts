export { attend } from './attend';
export { upperBounds } from './bounds';
export { listDots } from './list-dots';
export { pairScores } from './pair-scores';
export { pickRows, rowDots, rowNorms } from './rows';
export { leastKept, offerPicked, offerTile, reaching, sortLists } from './top-k';
export { greatestSums, reachingSums, turnRows } from './whole';
