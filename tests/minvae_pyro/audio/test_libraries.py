import sys

import pytest

from minvae_pyro.audio.libraries import load_librosa, load_torchaudio
from minvae_pyro.errors import UserError


@pytest.mark.parametrize(("load", "name"), [(load_librosa, "librosa"), (load_torchaudio, "torchaudio")])
def test_a_library_that_cannot_be_loaded_is_one_line(load, name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=f"the picture needs {name}, which cannot be loaded here") as caught:
        load("the picture")
    assert "\n" not in str(caught.value)


def test_so_is_one_whose_shared_library_is_missing(monkeypatch, tmp_path):
    """As torchaudio fails beside a torch of another kind."""
    (tmp_path / "torchaudio.py").write_text("import ctypes\nctypes.CDLL('libc10_cuda_of_another.so')\n")
    monkeypatch.delitem(sys.modules, "torchaudio", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"\(libc10_cuda_of_another\.so: cannot open .*\): install the build"):
        load_torchaudio("colour")


def test_librosa_is_there():
    assert load_librosa("a test").pyin
