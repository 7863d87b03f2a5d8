export { adam } from './adam';
export { attentionGradient, attentionWeights } from './attention-gradient';
export { pairGradients } from './pair-gradients';
export { pairScores } from './pair-scores';
export { reluGradient, rowDots, rowNorms } from './rows';
export { weightedRows } from './weighted-rows';
