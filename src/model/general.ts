/** The model that comes with naan, for any embeddings; `scripts/general-model.ts` trains it. */
import { fileURLToPath } from 'node:url';

export const generalModel = fileURLToPath(new URL('../../../config/general.safetensors', import.meta.url));
