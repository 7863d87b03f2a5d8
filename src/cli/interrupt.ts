/**
 * Ctrl-C, SIGTERM, and SIGHUP, which comes when a terminal or its connection is closed. The first asks the command to stop
 * through its AbortSignal and leaves it a moment to do so; the process ends with 130, 143 or 129, or of the signal, which
 * a shell tells in the same way, and leaves no unfinished file behind. A second signal ends it at once.
 */
const signals = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

export class Interrupt {
  private readonly controller = new AbortController();
  readonly signal = this.controller.signal;
  /** Exit code once a signal has come. */
  exitCode: number | undefined;
  /** The moment: longer for a command that has work to save. */
  graceMs = 600;

  constructor(cleanUp: () => void) {
    for (const [name, code] of Object.entries(signals)) {
      const end = () => {
        cleanUp();
        // By the signal itself: `exit` would end the threads one by one, and wait for native code or break it off.
        process.removeAllListeners(name);
        process.kill(process.pid, name);
        process.exit(code);
      };
      process.on(name, () => {
        if (this.exitCode !== undefined) return end();
        this.exitCode = code;
        setTimeout(end, this.graceMs).unref();
        this.controller.abort();
      });
    }
  }
}
