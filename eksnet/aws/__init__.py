"""AWS clients for the account of a cluster, and for no other."""

from eksnet.aws.account import Account, ApiServer

__all__ = ["Account", "ApiServer"]
