"""Audio-visual speech enhancement as probabilistic programs."""

import lazy_loader

# Public names are found when asked for, by the list in __init__.pyi: `minvae --help` should not wait for torch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
