"""The dashboard: the studies of a store as live pages, on a web server of their own."""

from glo.dashboard.guard import is_loopback
from glo.dashboard.server import Address, serve

__all__ = ["Address", "is_loopback", "serve"]
