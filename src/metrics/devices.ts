import { Counter, Gauge, type Registry } from 'prom-client';
import type { DeviceReading } from '../devices/devices.js';
import type { DeviceCounter } from '../devices/link.js';

const counters: readonly (readonly [name: string, counter: DeviceCounter, help: string])[] = [
  ['naan_device_batches_total', 'batches', 'Batches that a device has computed.'],
  ['naan_device_rows_total', 'rows', 'Rows of features or of the graph that were moved to a device.'],
  ['naan_device_bytes_total', 'bytes', 'Bytes moved to a device and back.'],
  ['naan_device_busy_seconds_total', 'busySeconds', 'Seconds that the thread that owns a device has spent on batches.'],
  ['naan_device_retries_total', 'retries', 'Batches that failed on a device and were tried again in halves.'],
  ['naan_device_fallbacks_total', 'fallbacks', 'Workers that went on without their device.'],
];

/** Counters of devices, read from shared memory when scraped. A busy rate near 1 is a device that never waits. */
export function addDeviceMetrics(registry: Registry, devices: readonly DeviceReading[]): void {
  const registers = [registry];
  for (const [name, counter, help] of counters) {
    new Counter({
      name,
      help,
      labelNames: ['device'],
      registers,
      collect() {
        this.reset();
        for (const reading of devices) this.inc({ device: String(reading.device) }, reading.of(counter));
      },
    });
  }
  new Gauge({
    name: 'naan_device_queue',
    help: 'Batches that wait for a device, the one that it computes included.',
    labelNames: ['device'],
    registers,
    collect() {
      this.reset();
      for (const reading of devices) this.inc({ device: String(reading.device) }, reading.of('queue'));
    },
  });
}
