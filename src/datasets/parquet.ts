/** A table of items and labels in Parquet: `item`, text, and `label`, int32; a row group is written at a time. */
import type { DatasetWriter } from './dataset.js';
import { writeHashed } from './hashed-file.js';

/** Readers decode a group at once: some megabytes of names. */
const rowsOfGroup = 2 ** 16;

export const parquet: DatasetWriter = {
  name: 'parquet',
  async write(part, destination) {
    const { ByteWriter, ParquetWriter } = await import('hyparquet-writer');
    await writeHashed(destination, `${part.name}.parquet`, async (file) => {
      const bytes = new ByteWriter(2 ** 20);
      const flush = async () => {
        await file.write(bytes.getBytes());
        bytes.index = 0;
      };
      const table = new ParquetWriter({
        writer: bytes,
        createdBy: 'naan',
        schema: [
          { name: 'root', num_children: 2 },
          { name: 'item', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' },
          { name: 'label', type: 'INT32', repetition_type: 'REQUIRED' },
        ],
      });
      for (let start = 0; start < part.count; start += rowsOfGroup) {
        const labels = part.labels.subarray(start, Math.min(part.count, start + rowsOfGroup));
        const items = Array.from(labels, (_, i) => part.item(start + i));
        await table.write({
          columnData: [
            { name: 'item', data: items },
            { name: 'label', data: labels },
          ],
          rowGroupSize: rowsOfGroup,
        });
        await flush();
        await destination.advance(part, start + labels.length);
      }
      await table.finish();
      await flush();
    });
  },
};
