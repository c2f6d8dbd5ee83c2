"""The web page of a site, and the API that it is made of."""

from yololstm.web.application import create
from yololstm.web.limiting import Allowance
from yololstm.web.serving import Server, serve

__all__ = ["Allowance", "Server", "create", "serve"]
