"""Clients: how a process connects to Redis, with threads or greenlets, and with coroutines."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from tokentail.config.redis_url import RedisUrl
from tokentail.errors import SettingsError
from tokentail.redis.async_cluster import AsyncCluster
from tokentail.redis.cluster_client import ClusterClient
from tokentail.redis.connection import (
    QuickClient,
    QuickPacker,
    go_to_primary,
    look_quickly,
    translate_uvloop,
    unconnected,
)
