"""AWS clients for the account of a cluster, and for no other."""

from eksnet.aws.account import Account, ApiServer, OwnAccount, OwnSetup, Write

__all__ = ["Account", "ApiServer", "OwnAccount", "OwnSetup", "Write"]
