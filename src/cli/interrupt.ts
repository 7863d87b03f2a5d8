/**
 * Ctrl-C and SIGTERM. The first asks the command to stop through its AbortSignal and leaves it a moment to do so; the
 * process ends with 130 or 143 in any case and leaves no unfinished file behind. A second Ctrl-C ends it at once.
 */
const signals = { SIGINT: 130, SIGTERM: 143 } as const;

export class Interrupt {
  private readonly controller = new AbortController();
  readonly signal = this.controller.signal;
  /** Exit code once a signal has come. */
  exitCode: number | undefined;
  /** The moment: longer for a command that has work to save. */
  graceMs = 600;

  /** `end` cleans up and exits the process with the given code. */
  constructor(end: (exitCode: number) => void) {
    for (const [name, code] of Object.entries(signals)) {
      process.on(name, () => {
        if (this.exitCode !== undefined) return end(this.exitCode);
        this.exitCode = code;
        setTimeout(() => end(code), this.graceMs).unref();
        this.controller.abort();
      });
    }
  }
}
