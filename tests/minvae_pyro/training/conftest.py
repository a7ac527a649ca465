from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from minvae_pyro.corpora.manifest import Entry, write_manifest

SETTINGS = '{"format": 2, "stft": {"n_fft": 1024, "hop": 533, "sample_rate": 16000}}'


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared folders ``train`` (6 clips) and ``validation`` (2), every third clip without a mouth."""
    top = tmp_path_factory.mktemp("corpora")
    generator = torch.Generator().manual_seed(0)
    for name, count in (("train", 6), ("validation", 2)):
        folder = top / name
        (folder / "features").mkdir(parents=True)
        (folder / "settings.json").write_text(SETTINGS)
        entries = []
        for row in range(count):
            frames = 12 + row
            tensors = {
                "power": torch.rand(frames, 513, generator=generator) + 0.01,
                "band": torch.ones(513, dtype=torch.bool),
            }
            if row % 3 < 2:
                tensors["mouth"] = torch.randint(256, (frames, 67, 67), generator=generator).to(torch.uint8)
                tensors["mouth_seen"] = torch.ones(frames, dtype=torch.bool)
            file = f"features/{row}.safetensors"
            save_file(tensors, folder / file)
            entries.append(
                Entry(str(row), file, frames, (frames - 1) * 533 / 16000, row % 3 < 2, 1.0, "talker", "clip")
            )
        write_manifest(folder, entries)
    return top
