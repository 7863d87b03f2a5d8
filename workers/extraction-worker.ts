/** Thread entry of `naan extract`: loads the model once, then makes the embeddings of the parts that it is given. */
import { serve } from '../src/execution/worker-start.js';
import { type ExtractionTask, extractPart, startExtraction } from '../src/extraction/worker.js';

export default await serve(startExtraction, (worker, task: ExtractionTask) => extractPart(worker, task));
