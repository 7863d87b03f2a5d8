export { attend } from './attend';
export { pairScores } from './pair-scores';
export { rowDots, rowNorms } from './rows';
export { offerTile, sortLists } from './top-k';
