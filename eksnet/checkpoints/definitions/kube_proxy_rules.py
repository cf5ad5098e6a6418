"""The checkpoints of 03a_rules_and_packets: a Service, and the rules that it takes."""

from __future__ import annotations

from eksnet.checkpoints.criteria import Criterion, Definition, Prediction
from eksnet.checkpoints.shop import (
    ENDPOINTS,
    FOUND,
    THREE,
    endpoints,
    lines_of_web,
    once_applied,
    selector,
)

NOTEBOOK = "03a_rules_and_packets"
_CHECK = 'eksnet.checkpoint("proxy-02").check(prediction, found)'

CHECKPOINTS = (
    Definition(
        id="proxy-01",
        notebook=NOTEBOOK,
        title="A Service with three endpoints",
        criteria=(
            Criterion(
                "proxy-01.service",
                "The Service web selects the pods",
                1,
                once_applied("the Service web in shop, with the selector app: web", selector),
            ),
            Criterion(
                "proxy-01.endpoints",
                "It has three endpoints",
                1,
                once_applied(THREE, endpoints),
                needs=("proxy-01.service",),
                wait=ENDPOINTS,
            ),
        ),
        hints=(
            "Look at the namespace `shop`: are the Service and its three pods there?",
            "Compare the selector of the Service with the labels of the pods.",
            '`cluster.list("endpointslices", "shop")` shows the endpoints of the Service.',
        ),
        solution="# Run the cells of the section Apply in their order.\n",
    ),
    Definition(
        id="proxy-02",
        notebook=NOTEBOOK,
        title="The number of rules of a Service",
        criteria=(
            Prediction(
                "proxy-02.rules",
                "The number of rules that you predicted",
                1,
                "how many rules does a node have for the Service web with its three endpoints?",
                "prediction = 0",
                lines_of_web("iptables"),
                takes="found",
                gather=FOUND,
                units=("rule", "rules", "line", "lines"),
            ),
        ),
        hints=(
            "Look at the table of the example: which rule leads to the Service's chain, and "
            "which rules are in it?",
            "Compare the rules with the endpoints: one rule finds the Service, and one rule for "
            "each endpoint chooses it; what is in an endpoint's own chain?",
            "`len(found)` is the number that is compared. Put it into `prediction`, and check "
            f"again:\n\n{FOUND}\n{_CHECK}",
        ),
        solution=f"""\
# 1 to find it, 3 to choose an endpoint, 3 times 2 to mark and to translate
prediction = 1 + 3 + 3 * 2
{FOUND}
{_CHECK}
""",
    ),
)
