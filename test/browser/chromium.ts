/** Opens pages in the Chromium of the system, as people do. */
import { existsSync } from 'node:fs';
import type { Browser } from 'playwright-core';

const places = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const found = process.env.CHROMIUM ?? places.find((place) => existsSync(place));

/** For `skip`: why there is no browser. */
export const withoutChromium = found ? false : `none of ${places.join(', ')} is here (Debian package chromium)`;

export async function openBrowser(): Promise<Browser> {
  const { chromium } = await import('playwright-core');
  // Without a sandbox, as tests may run as root in a container; pages are ours.
  return chromium.launch({ executablePath: found!, args: ['--no-sandbox', '--disable-gpu'] });
}
