/** Presets of the field's recognisers for their images: names and numbers alone, so that help is printed without loading more. */

export const channelOrders = ['rgb', 'bgr'] as const;
export type ChannelOrder = (typeof channelOrders)[number];

export interface Preset {
  readonly channels: ChannelOrder;
  /** A value v of a pixel, 0 to 255, becomes (v − mean) / std. */
  readonly mean: number;
  readonly std: number;
  /** Height and width, for a model that takes images of any size. */
  readonly size: readonly [number, number];
}

export const presetNames = ['arcface', 'adaface', 'facenet', 'raw'] as const;
export type PresetName = (typeof presetNames)[number];

export const presets: Readonly<Record<PresetName, Preset>> = {
  arcface: { channels: 'rgb', mean: 127.5, std: 127.5, size: [112, 112] },
  adaface: { channels: 'bgr', mean: 127.5, std: 127.5, size: [112, 112] },
  facenet: { channels: 'rgb', mean: 127.5, std: 128, size: [160, 160] },
  raw: { channels: 'rgb', mean: 0, std: 1, size: [112, 112] },
};

/** Images that are decoded and go through the model at once. */
export const defaultBatch = 32;
