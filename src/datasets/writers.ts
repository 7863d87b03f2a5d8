/** Forms that a labelled set can be written in. To add one, write a file beside this one and put it in the list. */
import type { DatasetWriter } from './dataset.js';
import { imageFolder } from './image-folder.js';
import { csv, fileList, jsonLines, lst } from './lists.js';
import { parquet } from './parquet.js';
import { rec } from './rec.js';
import { webDataset } from './webdataset.js';

export const writers: readonly DatasetWriter[] = [imageFolder, lst, rec, webDataset, csv, jsonLines, parquet, fileList];
