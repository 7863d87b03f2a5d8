/** Entry of the process that decodes tables. It answers requests one by one, and ends when nobody can ask any more. */
import { answer } from '../src/io/table-decode.js';
import type { TableReply, TableRequest } from '../src/io/table-process.js';

// Ctrl-C reaches the whole group of processes: the one that asks says when to stop.
for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
process.on('disconnect', () => process.exit());
process.on('message', (request: TableRequest) => {
  answer(request).then(
    (result) => reply({ result }),
    (error) => {
      const message = error instanceof Error ? error.message : String(error);
      const { code, errno, syscall } = error as NodeJS.ErrnoException;
      reply({ error: { message, system: syscall === undefined ? {} : { code, errno, syscall } } });
    },
  );
});

function reply(message: TableReply): void {
  process.send!(message);
}
