"""Clustering by density, by scikit-learn: what bench/quality.ts compares with.

    density.py dbscan|hdbscan FEATURES.npy OUT

FEATURES float32 [n x d], unit vectors. Clusters them by 1 - cosine at every setting of a grid and writes the labels, -1 for
noise, to OUT, raw int32 [settings x n]. Prints one JSON object: scikit-learn's version, and settings with their seconds, which
include those of the distances. HDBSCAN came with scikit-learn 1.3.
"""
import json
import sys
import time

import numpy as np
import sklearn
from sklearn import cluster

method, features, out = sys.argv[1:]
rows = np.load(features)
if method == "dbscan":
    settings = [{"eps": eps / 100, "min_samples": least} for eps in range(4, 72, 2) for least in (2, 3, 5)]
    estimator = cluster.DBSCAN
else:
    settings = [{"min_cluster_size": size, "min_samples": least, "cluster_selection_method": how}
                for size in (2, 4) for least in (1, 3) for how in ("eom", "leaf")]
    estimator = cluster.HDBSCAN

began = time.perf_counter()
distances = np.maximum(0, 1 - rows @ rows.T)
np.fill_diagonal(distances, 0)
if method == "hdbscan":
    distances = distances.astype(np.float64)
shared = time.perf_counter() - began
labels = np.empty((len(settings), len(rows)), np.int32)
seconds = []
for i, setting in enumerate(settings):
    began = time.perf_counter()
    more = {"copy": True} if method == "hdbscan" else {}
    labels[i] = estimator(metric="precomputed", **setting, **more).fit(distances).labels_
    seconds.append(shared + time.perf_counter() - began)
labels.tofile(out)
print(json.dumps({"settings": settings, "seconds": seconds, "version": sklearn.__version__}))
