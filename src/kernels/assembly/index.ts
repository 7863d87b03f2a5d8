export { attend } from './attend';
export { listDots } from './list-dots';
export { pairScores } from './pair-scores';
export { rowDots, rowNorms } from './rows';
export { offerTile, sortLists } from './top-k';
