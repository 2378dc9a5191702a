"""Which event loops a module's tests run on: asyncio's, unless the module names others."""

import asyncio
from collections.abc import Callable, Mapping

import pytest


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    module = item.getparent(pytest.Module)
    assert module is not None
    return getattr(module.obj, "LOOPS", {"asyncio": asyncio.new_event_loop})
