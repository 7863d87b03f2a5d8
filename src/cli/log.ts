import { type Logger, pino } from 'pino';

/** Log lines are JSON objects on stderr with the level by name. `quiet` leaves errors only. */
export function createLog({ logLevel, quiet }: { logLevel: string; quiet: boolean }): Logger {
  const level = quiet && logLevel !== 'silent' ? 'error' : logLevel;
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ fd: 2, sync: true }),
  );
}
