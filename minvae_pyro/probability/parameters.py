"""Pyro modules: which classes are only bases, where parameters live, and which of them stay as they are."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Iterator
from contextlib import contextmanager

import pyro
from pyro.nn import PyroModule
from torch import nn

from minvae_pyro.probability.settled import alone


class _AbstractMeta(type(PyroModule), ABCMeta):  # type: ignore[misc]
    """Lets a class be both a Pyro module and abstract, and networks be turned into Pyro modules all the same."""


class AbstractModule(nn.Module, metaclass=_AbstractMeta):
    """A network that leaves something to subclasses, marked by ``abc.abstractmethod``."""


class AbstractPyroModule(PyroModule, metaclass=_AbstractMeta):
    """A model or guide that leaves something to subclasses, marked by ``abc.abstractmethod``."""


@contextmanager
def local_parameters(*modules: PyroModule) -> Iterator[None]:
    """Run Pyro modules, each the top of its tree, with their parameters kept out of the global store.

    Other threads wait: the mode is one of the process.
    """
    with alone(), pyro.settings.context(module_local_params=True):
        for module in modules:
            # a module made outside of this mode lacks the store that Pyro gives to those made inside
            if not hasattr(module._pyro_context, "param_state"):
                module._pyro_context.param_state = {"params": {}, "constraints": {}}
        yield


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Leave the parameters of a module out of the gradients: those of a prior are not needed at test time."""
    learnt = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in learnt:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learnt:
            parameter.requires_grad_(True)
