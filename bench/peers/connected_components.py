"""scipy.sparse.csgraph.connected_components of the graph that bench/disjoint-set.ts wrote: NODES EDGES FILE.
Answers each line read with seconds and the number of components. Making the matrix is not timed."""
import sys
import time

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

nodes, edges = int(sys.argv[1]), int(sys.argv[2])
words = np.fromfile(sys.argv[3], dtype=np.int32)
offsets, targets = words[: nodes + 1], words[nodes + 1 :]
graph = csr_matrix((np.ones(edges), targets, offsets), shape=(nodes, nodes))
for _ in sys.stdin:
    began = time.perf_counter()
    count, _ = connected_components(graph, directed=False)
    print(time.perf_counter() - began, count, flush=True)
