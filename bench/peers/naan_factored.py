"""NAAN factored as naan factors it, in PyTorch: one projection a node, one aggregate a node, and a head in two halves.
Chunks keep what is gathered at once small. From files to scores; what follows (clusters, files) is left out.
"""
import time

began = time.perf_counter()
import argparse

import numpy as np
import torch
import torch.nn.functional as F

from naan_files import Weights, candidate_edges, greatest_difference, tell

import_seconds = time.perf_counter() - began

parser = argparse.ArgumentParser()
for name in ["features", "knn", "model", "expected-edges", "expected-scores"]:
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--hops", type=int, nargs=3, default=[20, 10, 20])
parser.add_argument("--threads", type=int, required=True)
parser.add_argument("--chunk", type=int, default=2048)
parser.add_argument("--gather", choices=["bag", "rows"], default="bag")
asked = parser.parse_args()
torch.set_num_threads(asked.threads)
torch.set_grad_enabled(False)
k1, k2, sample_hops = asked.hops
stages = {}


def timed(stage, work):
    start = time.perf_counter()
    result = work()
    stages[stage] = time.perf_counter() - start
    return result


def read():
    features = torch.from_numpy(np.load(asked.features)["embs"])
    return Weights(asked.model), features, np.load(asked.knn)


def by_chunks(count, work):
    return torch.cat([work(slice(at, min(at + asked.chunk, count))) for at in range(0, count, asked.chunk)])


def weighted(rows, ids, weights):
    """Sums of rows [n x d] by ids [c x r] and weights [c x r] -> [c x d]."""
    if asked.gather == "bag":
        return F.embedding_bag(ids, rows, mode="sum", per_sample_weights=weights)
    return (weights.unsqueeze(1) @ rows[ids]).squeeze(1)


whole = time.perf_counter()
m, x, knn = timed("read", read)
n = len(x)
edges = timed("edges", lambda: candidate_edges(knn, sample_hops))
lists = torch.from_numpy(knn[:, : max(k1, k2) + 1].astype(np.int64))


def project():
    h = by_chunks(n, lambda part: F.linear(x[part], m.w, m.b))
    return h, h @ m.a_centre, h @ m.a_neighbour


h, s, t = timed("project", project)


def aggregate():
    def one(part):
        ids = lists[part, : k2 + 1]
        e = F.leaky_relu(s[part].unsqueeze(1) + t[ids] + m.beta, 0.2)
        z = F.relu(weighted(h, ids, torch.softmax(e, dim=1)) + m.g)
        return F.linear(z, m.w, m.b)

    hz = by_chunks(n, one)
    return hz, hz @ m.a_neighbour


hz, tz = timed("aggregate", aggregate)


def embed():
    def one(part):
        ids = lists[part, 1 : k1 + 1]
        own = (s[part] + t[part]).unsqueeze(1)
        e = F.leaky_relu(torch.cat([own, s[part].unsqueeze(1) + tz[ids]], dim=1) + m.beta, 0.2)
        attention = torch.softmax(e, dim=1)
        return F.relu(attention[:, :1] * h[part] + weighted(hz, ids, attention[:, 1:].contiguous()) + m.g)

    return by_chunks(n, one)


c = timed("embed", embed)
d = c.shape[1]


def split():
    left = by_chunks(n, lambda part: F.linear(c[part], m.w1[:, :d]))
    return left, by_chunks(n, lambda part: F.linear(c[part], m.w1[:, d:], m.b1))


left, right = timed("split", split)


def score():
    pairs = torch.from_numpy(edges)
    gap, offset = m.w2[1] - m.w2[0], m.b2[1] - m.b2[0]

    def one(part):
        a, b = pairs[part, 0], pairs[part, 1]
        return torch.sigmoid(F.prelu(left[a] + right[b], m.slope) @ gap + offset)

    return by_chunks(len(pairs), one)


scores = timed("score", score)
seconds = time.perf_counter() - whole
tell(
    nodes=n,
    seconds=seconds,
    importSeconds=import_seconds,
    stages=stages,
    edges=len(edges),
    greatestDifference=greatest_difference(scores.numpy(), edges, asked.expected_edges, asked.expected_scores),
    torch=torch.__version__,
)
