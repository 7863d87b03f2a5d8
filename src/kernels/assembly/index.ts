export { attend } from './attend';
export { pairScores } from './pair-scores';
export { rowDots, rowNorms } from './rows';
