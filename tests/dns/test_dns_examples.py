"""The examples in the docstrings of the dns room are run."""

import doctest
import importlib
import pkgutil

import pytest

from eksnet import dns

MODULES = [f"eksnet.dns.{module.name}" for module in pkgutil.iter_modules(dns.__path__)]
WITHOUT_EXAMPLES = {"eksnet.dns.profiles"}


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_give_what_they_show(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs=vars(dns))
    assert result.failed == 0
    assert (result.attempted > 0) == (name not in WITHOUT_EXAMPLES)
