"""The kNN graph of a set by faiss: what bench/knn-peers.ts compares with.

    faiss-knn.py flat|ivf|hnsw FEATURES.npy TRUTH.npy K THREADS MIN_RECALL

FEATURES float32 [n x d], unit vectors; TRUTH int32 [n x (K + 1)], the exact graph, column 0 the row itself. Prints one JSON
object. Effort (nprobe, efSearch) is the least of a doubling sweep, then of steps between, that reaches MIN_RECALL on
2,000 queries; the time of the sweep does not count, that of building and of searching for all rows does.
"""
import json
import sys
import time

import faiss
import numpy as np

method, features, truth, k, threads, min_recall = sys.argv[1:]
k, threads, min_recall = int(k), int(threads), float(min_recall)
faiss.omp_set_num_threads(threads)
rows = np.load(features)
exact = np.load(truth)[:, 1:]
n, d = rows.shape
sample = np.linspace(0, n - 1, min(n, 2000)).astype(int)


def recall(found, queries):
    """Share of the true neighbours found; the row itself, wherever it stands, is none."""
    hits = sum(np.intersect1d(line[line != q], exact[q]).size for line, q in zip(found, queries))
    return hits / (len(queries) * k)


def timed(work):
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def least_effort(set_effort, efforts):
    """The least effort that is enough, found by doubling and then by halving the last step four times."""
    def reached(effort):
        set_effort(effort)
        return recall(index.search(rows[sample], k + 1)[1], sample) >= min_recall

    low, high = 0, None
    for effort in efforts:
        if reached(effort):
            high = effort
            break
        low = effort
    if high is None:
        return efforts[-1]
    for _ in range(4):
        middle = (low + high) // 2
        if middle <= low:
            break
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def set_nprobe(effort):
    index.nprobe = effort


def set_ef(effort):
    index.hnsw.efSearch = effort


settings = {}
if method == "flat":
    index = faiss.IndexFlatIP(d)
    build, _ = timed(lambda: index.add(rows))
elif method == "ivf":
    cells = int(4 * np.sqrt(n))
    quantizer = faiss.IndexFlatIP(d)
    index = faiss.IndexIVFFlat(quantizer, d, cells, faiss.METRIC_INNER_PRODUCT)
    build, _ = timed(lambda: (index.train(rows), index.add(rows)))
    nprobe = least_effort(set_nprobe, [min(cells, 2**i) for i in range(3, 14) if 2 ** (i - 1) < cells])
    set_nprobe(nprobe)
    settings = {"nlist": cells, "nprobe": nprobe}
else:
    index = faiss.IndexHNSWFlat(d, 32, faiss.METRIC_INNER_PRODUCT)
    build, _ = timed(lambda: index.add(rows))
    ef = least_effort(set_ef, [max(2**i, k + 1) for i in range(5, 12)])
    set_ef(ef)
    settings = {"M": 32, "efConstruction": index.hnsw.efConstruction, "efSearch": ef}

search, (_, found) = timed(lambda: index.search(rows, k + 1))
print(json.dumps({
    "seconds": build + search, "build": build, "search": search, "recall": recall(found[sample], sample),
    "settings": settings, "faiss": faiss.__version__, "numpy": np.__version__,
}))
