"""The peers by name; an adapter's module imports its peer only when it is started."""

from __future__ import annotations

from .base import WORKERS, NotOffered, Peer, Script
from .dask_cluster import Dask
from .pools import Joblib, Loky, Pool, ProcessPool
from .raw import Raw
from .raylike import Ray, Snakepit

__all__ = ["PEERS", "WORKERS", "NotOffered", "Peer", "Script"]

# In the order of a round. What the gates compare with one another stands together, because a
# machine drifts less in seconds than in minutes.
PEERS: dict[str, type[Peer]] = {
    peer.name: peer for peer in (Raw, Snakepit, Pool, ProcessPool, Loky, Joblib, Dask, Ray)
}
