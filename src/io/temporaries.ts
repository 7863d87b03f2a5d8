/**
 * Names of files and folders that are not whole yet. A name says which process made it, so that what a killed run left
 * can be removed by the next one that writes there, and what a living run is writing never is.
 */
import { randomBytes } from 'node:crypto';
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { lifeOf, type ProcessIdentity, thisProcess } from './process-identity.js';

const pattern = /^\.naan-([0-9a-f]*)-(\d*)-(\d+)-(\d*)-[0-9a-f]{12}\.tmp$/;
/** What a process that cannot be seen from here has left alone for so long is nobody's any more. */
const abandonedMs = 7 * 24 * 3600 * 1000;

const unfinished = new Set<string>();
const swept = new Set<string>();

/** A new name in a folder, whose length does not depend on the name that it will give way to. */
export function temporaryIn(folder: string): string {
  const { process: pid, boot = '', pidNamespace = '', processStart = '' } = thisProcess();
  const maker = [boot.replaceAll('-', ''), pidNamespace.replace(/\D/g, ''), pid, processStart].join('-');
  const path = join(folder, `.naan-${maker}-${randomBytes(6).toString('hex')}.tmp`);
  unfinished.add(path);
  return path;
}

/** Removes what has a name by `temporaryIn`, if it is still there. */
export function removeTemporary(path: string): void {
  try {
    rmSync(path, { force: true, recursive: true });
    unfinished.delete(path);
  } catch {
    // It stays for the next run that writes here, or for a signal handler.
  }
}

/** Removes the temporaries of every output still being written by this thread. Synchronous: for a signal handler. */
export function removeUnfinished(): void {
  for (const path of unfinished) removeTemporary(path);
}

/** Removes what runs that were killed left in a folder; looks once. */
export function removeAbandoned(folder: string): void {
  if (swept.has(folder)) return;
  swept.add(folder);
  try {
    for (const name of readdirSync(folder)) {
      const maker = makerOf(name);
      if (maker && isAbandoned(join(folder, name), maker)) rmSync(join(folder, name), { force: true, recursive: true });
    }
  } catch {
    // Not ours to read or remove: nobody waits for it.
  }
}

function makerOf(name: string): ProcessIdentity | undefined {
  const match = pattern.exec(name);
  if (!match) return undefined;
  const [, boot, namespace, pid, processStart] = match;
  const dashed = boot.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  return { process: Number(pid), boot: dashed, pidNamespace: `pid:[${namespace}]`, processStart };
}

function isAbandoned(path: string, maker: ProcessIdentity): boolean {
  const life = lifeOf(maker);
  return life === 'gone' || (life === 'unknown' && Date.now() - lastChange(path) > abandonedMs);
}

function lastChange(path: string): number {
  const stats = statSync(path);
  if (!stats.isDirectory()) return stats.mtimeMs;
  return readdirSync(path).reduce((latest, name) => Math.max(latest, lastChange(join(path, name))), stats.mtimeMs);
}
