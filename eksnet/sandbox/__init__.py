"""The sandbox: an EKS-like cluster on this computer, made of upstream programs in one namespace.

`eksnet.sandbox.lifecycle` has what can be done with one. Its processes inside the namespace import
this package too, so nothing is loaded here.
"""
