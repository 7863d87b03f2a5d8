/** Leave to write in a folder, as long as its lock shows signs of life (`FolderLock`). */

/** What threads look at before they write. */
export interface Lease {
  /** [1]: seconds of the last heartbeat, by the clock that goes on while the machine sleeps. */
  readonly renewed: Int32Array;
  /** Threads write for so long after it. */
  readonly seconds: number;
}

export function renewLease({ renewed }: Lease, time: number): void {
  Atomics.store(renewed, 0, secondsOf(time));
  Atomics.notify(renewed, 0);
}

/** Lets threads wait until the lease is renewed. */
export function endLease({ renewed }: Lease): void {
  Atomics.store(renewed, 0, 0);
}

/** Waits until the lease is fresh. `stopped` is asked before, and now and then: it may throw. */
export function awaitLease({ renewed, seconds }: Lease, stopped: () => void): void {
  for (;;) {
    stopped();
    const last = Atomics.load(renewed, 0);
    const age = (secondsOf(Date.now()) - last) | 0;
    if (age >= -1 && age <= seconds) return;
    Atomics.wait(renewed, 0, last, 500);
  }
}

function secondsOf(time: number): number {
  return Math.floor(time / 1000) | 0;
}
