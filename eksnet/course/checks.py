"""What a text has to pass before a learner's edit writes it into a ConfigMap."""

from __future__ import annotations

from eksnet.cluster.edits import Checks
from eksnet.coredns.installed import CONFIGMAP, SYSTEM
from eksnet.coredns.validity import check_corefile
from eksnet.kubeproxy.settings import check_configuration

CHECKS: Checks = {
    (SYSTEM, CONFIGMAP, "Corefile"): check_corefile,
    # On EKS and the sandbox, and with kubeadm and kind.
    (SYSTEM, "kube-proxy-config", "config"): check_configuration,
    (SYSTEM, "kube-proxy", "config.conf"): check_configuration,
}
