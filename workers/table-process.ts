/** Entry of the process that decodes tables. It answers requests one by one, and ends when nobody can ask any more. */
import { answer } from '../src/io/table-decode.js';
import type { TableReply, TableRequest } from '../src/io/table-process.js';

// Ctrl-C reaches the whole group of processes: the one that asks says when to stop.
for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
process.on('disconnect', () => process.exit());
// A library that gives up over one column leaves the others to fail behind it, when the answer is given: that is no end of the process.
process.on('unhandledRejection', () => {});
process.on('message', (request: TableRequest) => {
  answer(request)
    .then((result) => reply({ result }))
    // Also of an answer that cannot be sent.
    .catch((error) => {
      const message = error instanceof Error ? error.message : String(error);
      const { code, errno, syscall } = error as NodeJS.ErrnoException;
      reply({ error: { message, system: syscall === undefined ? {} : { code, errno, syscall } } });
    });
});

function reply(message: TableReply): void {
  process.send!(message);
}
