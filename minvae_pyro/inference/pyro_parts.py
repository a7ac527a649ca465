"""Parts that come from Pyro, by name: automatic guides and functions, bounds, optimisers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import pyro.infer
import pyro.optim
import torch
import yaml
from pyro.infer import autoguide
from pyro.infer.autoguide import AutoGuide
from pyro.infer.elbo import ELBO
from pyro.optim.adagrad_rmsprop import AdagradRMSProp
from pyro.optim.clipped_adam import ClippedAdam
from pyro.optim.dct_adam import DCTAdam
from torch.optim import Optimizer

from minvae_pyro.errors import UserError
from minvae_pyro.guides import PyroGuide, UtteranceGuide
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.registry.build import make
from minvae_pyro.registry.names import Description, find, imported, offered_names, parameters

AUTOMATIC: dict[str, Any] = {
    one.__name__: one
    for one in (
        autoguide.AutoDelta,
        autoguide.AutoDiagonalNormal,
        autoguide.AutoIAFNormal,
        autoguide.AutoLowRankMultivariateNormal,
        autoguide.AutoMultivariateNormal,
        autoguide.AutoNormal,
    )
}
"""Pyro's automatic guides by their short names; others are named by their import paths."""

ELBOS: dict[str, Any] = {
    "AnalyticTraceEnum_ELBO": AnalyticTraceEnum_ELBO,
    **{
        name: one
        for name, one in sorted(vars(pyro.infer).items())
        if inspect.isclass(one) and issubclass(one, ELBO) and one is not ELBO
    },
}
"""Bounds by their short names: that of this package, and Pyro's."""

# what needs a closure, or gradients or parameters of a special form, is not for SVI
_NOT_FOR_SVI = {"LBFGS", "SparseAdam", "Muon", "Optimizer"}
OPTIMISERS: dict[str, Any] = {
    **{
        name: one
        for name, one in sorted(vars(torch.optim).items())
        if inspect.isclass(one) and issubclass(one, Optimizer) and name not in _NOT_FOR_SVI
    },
    "AdagradRMSProp": AdagradRMSProp,
    "ClippedAdam": ClippedAdam,
    "DCTAdam": DCTAdam,
}
"""Optimisers by their short names: those of torch and of ``pyro.optim``."""

ELBO_USED, OPTIMISER_USED = "AnalyticTraceEnum_ELBO", "Adam"
"""Bound and optimiser when none is named."""

_OF_THE_GUIDE = {"model", "init_loc_fn", "create_plates"}


def make_guide(described: Description | UtteranceGuide | type | Callable[..., Any]) -> UtteranceGuide:
    """The posterior that is described.

    Args:
        described: a guide of this package, made or described; a subclass of ``pyro.infer.autoguide.AutoGuide``, by
            name, by description with its arguments, or itself; or a function, by import path or itself (see
            :class:`minvae_pyro.guides.PyroGuide`).

    Raises:
        UserError: no such guide, or arguments that it does not take.

    Example:
        >>> described = {"class_path": "AutoNormal", "init_args": {"init_scale": "0.2"}}
        >>> make_guide(described).arguments
        {'init_scale': 0.2}
        >>> type(make_guide("MeanFieldGuide")).__name__
        'MeanFieldGuide'
    """
    given: Any = described
    if isinstance(described, str) or (isinstance(described, Mapping) and isinstance(described.get("class_path"), str)):
        name, arguments = _split(described)
        found = guide_named(name)
    elif inspect.isfunction(described) or _automatic(described):
        found, arguments = described, {}
    else:
        return make(UtteranceGuide, given, "guide")
    if inspect.isclass(found) and issubclass(found, UtteranceGuide):
        return make(UtteranceGuide, given, "guide")
    if not inspect.isclass(found):
        if arguments:
            raise UserError(f"the guide {found.__name__} is a function, which takes no {', '.join(arguments)}.")
        return PyroGuide(found)
    return PyroGuide(found, **_arguments(found, arguments, "guide", _OF_THE_GUIDE))


def guide_named(name: str) -> Any:
    """The class of a guide of this package or of an automatic guide, or a function; see :func:`make_guide`."""
    found = imported(name, "guide", offered_names((UtteranceGuide,), AUTOMATIC)) if "." in name else None
    if inspect.isfunction(found):
        return found
    return find(name, (UtteranceGuide, AutoGuide), "guide", AUTOMATIC)


def make_elbo(described: Description | ELBO) -> Any:
    """The bound that is described, over two plates; one that is made already as it is.

    Raises:
        UserError: no such bound, or arguments that it does not take.

    Example:
        >>> described = {"class_path": "RenyiELBO", "init_args": {"num_particles": "4"}}
        >>> make_elbo(described).num_particles
        4
    """
    if isinstance(described, ELBO):
        return described
    name, arguments = _split(described, ELBO_USED)
    found: Any = find(name, (ELBO,), "bound", ELBOS)
    given = _arguments(found, arguments, "bound", set())
    usual = {"max_plate_nesting": 2} if "max_plate_nesting" in parameters(found) else {}
    return _made(found, {**usual, **given}, "bound")


def make_optimiser(described: Description | pyro.optim.PyroOptim, learning_rate: float) -> Any:
    """The optimiser that is described, at a learning rate unless it is described with another.

    Raises:
        UserError: no such optimiser, or arguments that it does not take.

    Example:
        >>> described = {"class_path": "ClippedAdam", "init_args": {"clip_norm": "5.0"}}
        >>> make_optimiser(described, 0.1).pt_optim_args
        {'lr': 0.1, 'clip_norm': 5.0}
    """
    if isinstance(described, pyro.optim.PyroOptim):
        return described
    name, arguments = _split(described, OPTIMISER_USED)
    if name.rpartition(".")[0] in ("pyro.optim", "torch.optim"):
        name = name.rpartition(".")[2]  # what Pyro has there are functions around these classes
    found: Any = find(name, (Optimizer,), "optimiser", OPTIMISERS)
    given = {"lr": learning_rate, **_arguments(found, arguments, "optimiser", {"params"})}
    _made(found, {"params": [torch.nn.Parameter(torch.zeros(1))], **given}, "optimiser")
    return pyro.optim.PyroOptim(found, given)


def _automatic(found: Any) -> bool:
    return inspect.isclass(found) and issubclass(found, AutoGuide)


def _split(described: Any, usual: str = "") -> tuple[str, dict[str, Any]]:
    """Name and arguments of a description; arguments alone are of what is usual."""
    if isinstance(described, str):
        return described, {}
    name = described.get("class_path", usual) if isinstance(described, Mapping) else ""
    if not isinstance(name, str) or not name:
        raise UserError(f"{described} describes nothing: give a name, or class_path and perhaps init_args.")
    return name, dict(described.get("init_args") or {})


def _arguments(found: type, given: Mapping[str, Any], what: str, ours: set[str]) -> dict[str, Any]:
    """Arguments as typed for a class of others, which declares no types: read as YAML."""
    known = {name: one for name, one in parameters(found).items() if name not in ours}
    read = {}
    for name, value in given.items():
        if name not in known:
            raise UserError(f"the {what} {found.__name__} has no argument {name!r}. Its arguments: {', '.join(known)}.")
        if isinstance(value, str):
            value = yaml.safe_load(value)
        # YAML reads 1 as a whole number and 1e-3 as text
        if isinstance(known[name].default, float) and isinstance(value, int | str) and not isinstance(value, bool):
            value = _number(value)
        read[name] = value
    if missing := [name for name, one in known.items() if one.default is one.empty and name not in read]:
        raise UserError(f"the {what} {found.__name__} needs {', '.join(missing)}: make it in a program.")
    return read


def _number(value: int | str) -> Any:
    try:
        return float(value)
    except ValueError:
        return value


def _made(found: Any, arguments: Mapping[str, Any], what: str) -> Any:
    try:
        return found(**arguments)
    except (TypeError, ValueError, AssertionError) as error:
        raise UserError(f"the {what} {found.__name__} cannot be made ({error}).") from error
